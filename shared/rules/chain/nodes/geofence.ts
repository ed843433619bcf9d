import * as z from "zod";
import { AppError } from "../../../core/errors.ts";
import type { Json } from "../../../entities/entity-record.ts";
import { isObject, objectData, type ChainMessage, type JsonObject } from "../message.ts";
import { defineNode, tell } from "../node-kind.ts";

const METERS = { METER: 1, KILOMETER: 1_000, FOOT: 0.3048, MILE: 1_609.344, NAUTICAL_MILE: 1_852 } as const;
const EARTH_RADIUS_METERS = 6_371_008.8;
const POINTS_MAX = 10_000;

const unit = z.enum(["METER", "KILOMETER", "FOOT", "MILE", "NAUTICAL_MILE"]);

const config = z.object({
  latitudeKeyName: z.string().min(1),
  longitudeKeyName: z.string().min(1),
  perimeterType: z.enum(["POLYGON", "CIRCLE"]).nullish(),
  fetchPerimeterInfoFromMessageMetadata: z.boolean().nullish(),
  perimeterKeyName: z.string().nullish(),
  polygonsDefinition: z.string().nullish(),
  centerLatitude: z.number().nullish(),
  centerLongitude: z.number().nullish(),
  range: z.number().nullish(),
  rangeUnit: unit.nullish(),
});

type Point = readonly [latitude: number, longitude: number];

/** Whether a place is within. */
type Perimeter = (place: Point) => boolean;

/** Whether the place that a message tells of is within a circle or polygons. */
export const geofenceFilter = defineNode({
  type: "geo.TbGpsGeofencingFilterNode",
  config,
  make: (settings) => {
    const fixed = (settings.fetchPerimeterInfoFromMessageMetadata ?? false) ? null : fixedPerimeter(settings);
    return {
      handle: (message) => {
        const data = objectData(message);
        const latitude = coordinate(message, data, settings.latitudeKeyName);
        const longitude = coordinate(message, data, settings.longitudeKeyName);
        const isWithin = fixed ?? perimeterOf(message, settings);
        return tell(isWithin([latitude, longitude]) ? "True" : "False", message);
      },
    };
  },
});

function coordinate({ metadata }: ChainMessage, data: JsonObject, key: string): number {
  const value = data[key] ?? metadata[key];
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  if (typeof number !== "number" || !Number.isFinite(number)) {
    throw new AppError("INVALID_PAYLOAD", `The message has no number ${key} in its payload or metadata`);
  }
  return number;
}

function fixedPerimeter({ perimeterType, polygonsDefinition, ...circle }: z.output<typeof config>): Perimeter {
  if (perimeterType !== "CIRCLE") return polygons(polygonsDefinition ?? "");
  const { centerLatitude, centerLongitude, range, rangeUnit } = circle;
  return circleOf([centerLatitude, centerLongitude, range], rangeUnit ?? "METER");
}

function perimeterOf(
  { metadata }: ChainMessage,
  { perimeterKeyName, perimeterType }: z.output<typeof config>,
): Perimeter {
  const key = perimeterKeyName ?? "";
  if (key === "") {
    if (metadata["perimeter"] !== undefined) return polygons(metadata["perimeter"]);
    const parts = ["centerLatitude", "centerLongitude", "range"].map((name) => Number(metadata[name] ?? Number.NaN));
    return circleOf(parts, metadata["rangeUnit"] ?? "METER");
  }
  const text = metadata[key] ?? "";
  if (perimeterType !== "CIRCLE") return polygons(text);
  const circle = parse(text);
  if (!isObject(circle)) throw noPerimeter();
  const { latitude, longitude, radius, radiusUnit } = circle;
  return circleOf([latitude, longitude, radius], radiusUnit ?? "METER");
}

function circleOf(parts: readonly (Json | undefined)[], unitName: Json): Perimeter {
  const [latitude, longitude, radius] = parts;
  const known = unit.safeParse(unitName);
  const areNumbers = [latitude, longitude, radius].every((part) => typeof part === "number" && Number.isFinite(part));
  if (!areNumbers || !known.success) throw noPerimeter();
  const center: Point = [Number(latitude), Number(longitude)];
  const radiusMeters = Number(radius) * METERS[known.data];
  return (place) => distanceMeters(center, place) < radiusMeters;
}

/** `[[lat,lon],…]`, or a list of such: a place counts as within when it is in an odd number of them, so that holes can be drawn. */
function polygons(text: string): Perimeter {
  const parsed = parse(text);
  const rings = z
    .array(z.tuple([z.number(), z.number()]))
    .min(3)
    .max(POINTS_MAX);
  const one = rings.safeParse(parsed);
  const many = z.array(rings).min(1).max(100).safeParse(parsed);
  const list = one.success ? [one.data] : many.success ? many.data : null;
  if (list === null) throw noPerimeter();
  return (place) => list.filter((ring) => contains(ring, place)).length % 2 === 1;
}

function parse(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}

function noPerimeter(): AppError {
  return new AppError("INVALID_ARGUMENT", "There is no perimeter: expected a polygon [[lat,lon],…] or a circle");
}

/** Counts the edges that a ray to the east crosses. */
function contains(ring: readonly Point[], [latitude, longitude]: Point): boolean {
  let isWithin = false;
  let previous = ring.at(-1);
  for (const point of ring) {
    if (previous !== undefined && point[0] > latitude !== previous[0] > latitude) {
      const share = (latitude - point[0]) / (previous[0] - point[0]);
      if (longitude < point[1] + share * (previous[1] - point[1])) isWithin = !isWithin;
    }
    previous = point;
  }
  return isWithin;
}

/** Along the great circle, by the haversine formula. */
function distanceMeters(one: Point, other: Point): number {
  const radians = (degrees: number): number => (degrees * Math.PI) / 180;
  const half = (from: number, to: number): number => Math.sin(radians(to - from) / 2) ** 2;
  const a = half(one[0], other[0]) + Math.cos(radians(one[0])) * Math.cos(radians(other[0])) * half(one[1], other[1]);
  return 2 * EARTH_RADIUS_METERS * Math.asin(Math.min(1, Math.sqrt(a)));
}
