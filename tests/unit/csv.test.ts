import { expect, test } from "bun:test";
import fc from "fast-check";
import { readCsv } from "../../shared/core/csv.ts";

const read = (text: string, delimiter = ",") =>
  [...readCsv(text, delimiter)].map(({ line, fields }) => [line, ...fields]);

test.each([
  [
    "a,b\nc,d",
    [
      [1, "a", "b"],
      [2, "c", "d"],
    ],
  ],
  [
    "a,b\r\n\r\n\nc,d\r\n",
    [
      [1, "a", "b"],
      [4, "c", "d"],
    ],
  ],
  [
    '"a,""b""\nc",d\ne',
    [
      [1, 'a,"b"\nc', "d"],
      [3, "e"],
    ],
  ],
  ["\uFEFFa", [[1, "a"]]],
  [
    "a,,\n,",
    [
      [1, "a", "", ""],
      [2, "", ""],
    ],
  ],
  ['a "b" c', [[1, 'a "b" c']]],
  ["", []],
])("readCsv() reads %j", (text, expected) => {
  expect(read(text)).toEqual(expected);
});

test("readCsv() names the line of a quote that is not closed", () => {
  expect(() => read('a\nb,"c\nd')).toThrow("Line 2: a quoted value is not closed");
});

test("readCsv() gives back what was written, whatever the texts and the delimiter", () => {
  const cell = fc.string({ unit: fc.constantFrom("a", "é", '"', ",", ";", "\t", "\n", "\r\n", " ") });
  const rows = fc.array(fc.array(cell, { minLength: 2, maxLength: 4 }), { maxLength: 5 });
  fc.assert(
    fc.property(rows, fc.constantFrom(",", ";", "\t"), fc.constantFrom("\n", "\r\n"), (table, delimiter, end) => {
      const quote = (text: string): string => `"${text.replaceAll('"', '""')}"`;
      const text = table.map((row) => row.map(quote).join(delimiter) + end).join("");
      expect([...readCsv(text, delimiter)].map(({ fields }) => fields)).toEqual(table);
    }),
  );
});
