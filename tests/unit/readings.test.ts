import { describe, expect, test } from "bun:test";
import { parseReadings } from "../support/readings.ts";

describe("parseReadings()", () => {
  test("takes times without a zone as UTC, and keeps numbers and words", () => {
    const text = "date,temp,weather\n2012-01-01,12.8,drizzle\n2012-01-01T06:00:00,10.9,rain\n";
    expect(parseReadings(text)).toEqual([
      { ts: Date.UTC(2012, 0, 1), values: { temp: 12.8, weather: "drizzle" } },
      { ts: Date.UTC(2012, 0, 1, 6), values: { temp: 10.9, weather: "rain" } },
    ]);
  });

  test("leaves out a leading row number that the header does not name", () => {
    const text = '"date","CO2"\r\n"140","2015-02-02 14:19:00",749.2\r\n"141",2015-02-02 14:19:59,760.4\r\n';
    expect(parseReadings(text).map(({ values }) => values)).toEqual([{ CO2: 749.2 }, { CO2: 760.4 }]);
  });

  test("sorts by time and keeps the later of two rows of one moment", () => {
    const text = "n,at\n1,2020-01-02\n2,2020-01-01\n3,2020-01-02\n";
    expect(parseReadings(text).map(({ values }) => values)).toEqual([{ n: 2 }, { n: 3 }]);
  });

  test("says what it expects of a file without a date or without rows", () => {
    expect(() => parseReadings("a,b\n1,2\n")).toThrow("Expected a column with a date");
    expect(() => parseReadings("a,b\n")).toThrow("Expected a header and at least one row");
  });
});
