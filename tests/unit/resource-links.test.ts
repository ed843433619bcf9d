import { describe, expect, test } from "bun:test";
import { createSeededRandom } from "../../shared/core/random.ts";
import { linksIn, linkTo } from "../../shared/entities/resource-links.ts";

const inText = (text: string): readonly string[] =>
  linksIn({ entityType: "DASHBOARD", body: {}, content: JSON.stringify({ text }) });

describe("linksIn()", () => {
  test.each([
    ["tb-image;/api/images/tenant/plan.png", ["IMAGE plan.png"]],
    ["tb-resource;/api/resource/js_module/tenant/My tools (2).js", ["JS_MODULE My tools (2).js"]],
    ["tb-resource;/api/resource/js_module/tenant/a%20b.js", ["JS_MODULE a b.js"]],
    ["url(/api/images/tenant/a.png) and /api/images/tenant/b.png?x=1, more", ["IMAGE a.png", "IMAGE b.png"]],
    ["/api/images/tenant/plan.png /api/images/tenant/plan.png", ["IMAGE plan.png"]],
    ["tb-image;/api/images/system/plan.png", ["system/IMAGE plan.png"]],
    ["tb-image;/api/images/public/plan.png", []],
    ["/api/images/tenant/", []],
    ["/api/device/x /api/resource/tenant/x", []],
    ["tb-image;/api/images/tenant/gr\u00fcn.png", ["IMAGE gr\u00fcn.png"]],
    ["tb-image;/api/images/tenant/100%.png", ["IMAGE 100%.png"]],
  ])("finds what %j names", (text, links) => {
    expect(inText(text)).toEqual([...links]);
  });

  test("finds escaped slashes and letters, and what the body names", () => {
    const content = String.raw`{"a":"tb-image;\/api\/images\/tenant\/gr\u00fcn.png"}`;
    const body = { image: "tb-image;/api/images/tenant/a.png" };
    expect(linksIn({ entityType: "DEVICE_PROFILE", body, content })).toEqual(["IMAGE a.png", "IMAGE gr\u00fcn.png"]);
  });

  test("follows no more than 1,000 links, and reads 20 MB in a moment", () => {
    const many = Array.from({ length: 1_100 }, (_, index) => `/api/images/tenant/${index}.png`).join(" ");
    expect(inText(many)).toHaveLength(1_000);
    const dice = createSeededRandom(1);
    const piece = Array.from({ length: 10_000 }, () => "/ap tb-image;\\x"[Math.floor(dice.float() * 15)]).join("");
    expect(inText(piece.repeat(2_000))).toEqual([]);
  });
});

test("linkTo() is what its link is found as", () => {
  const record = { entityType: "TB_RESOURCE", subtype: "JS_MODULE", body: { resourceKey: "a b.js" } } as const;
  expect(inText("tb-resource;/api/resource/js_module/tenant/a b.js")).toEqual([linkTo(record) ?? ""]);
  expect(linkTo({ ...record, entityType: "DASHBOARD" })).toBeNull();
});
