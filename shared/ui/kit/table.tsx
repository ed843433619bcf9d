import type { ComponentChildren, JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { text } from "../text/en.ts";
import { formatCount } from "./format.ts";
import { Button } from "./parts.tsx";
import { useRouter } from "./router.tsx";

export interface Column<Row> {
  readonly title: string;
  readonly show: (row: Row) => ComponentChildren;
  /** By what the server sorts; absent: it can't. */
  readonly sort?: string;
  readonly isNumber?: boolean;
}

export interface TablePage<Row> {
  readonly data: readonly Row[];
  readonly totalElements: number;
  readonly totalPages: number;
}

/** Where a list is, and its filters: all of it in the address, so that a link shows what its sender sees. */
export interface ListState {
  readonly page: number;
  readonly pageSize: number;
  readonly sortProperty: string;
  readonly sortOrder: string;
  readonly textSearch: string;
}

const PAGE_SIZE = 25;

export function useListState(sortProperty: string, sortOrder: "ASC" | "DESC"): ListState {
  const { query } = useRouter();
  const page = Number.parseInt(query["page"] ?? "1", 10) - 1;
  return {
    page: Number.isNaN(page) || page < 0 ? 0 : page,
    pageSize: PAGE_SIZE,
    sortProperty: query["sort"] ?? sortProperty,
    sortOrder: query["order"] ?? sortOrder,
    textSearch: query["search"] ?? "",
  };
}

export interface TableProps<Row> {
  /** What it lists, for those who can't see it. */
  readonly label: string;
  readonly columns: readonly Column<Row>[];
  readonly keyOf: (row: Row) => string;
  /** undefined: not read yet. */
  readonly page: TablePage<Row> | undefined;
  readonly list: ListState;
  readonly empty: ComponentChildren;
}

export function Table<Row>({ label, columns, keyOf, page, list, empty }: TableProps<Row>): JSX.Element {
  if (page === undefined) return <p class="empty">{text.table.loading}</p>;
  return (
    <>
      {/* What scrolls has to be reached by keyboard. */}
      <div class="scroll" tabIndex={0} role="region" aria-label={label}>
        <table>
          <thead>
            <tr>
              {columns.map((column) => (
                <HeadCell key={column.title} column={column} list={list} />
              ))}
            </tr>
          </thead>
          <tbody>
            {page.data.map((row) => (
              <tr key={keyOf(row)}>
                {columns.map(({ title, show, isNumber = false }) => (
                  <td key={title} class={isNumber ? "right" : undefined}>
                    {show(row)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {page.data.length === 0 ? <div class="empty">{empty}</div> : null}
      <Pager page={page} list={list} />
    </>
  );
}

function HeadCell<Row>({ column, list }: { readonly column: Column<Row>; readonly list: ListState }): JSX.Element {
  const router = useRouter();
  const { isNumber = false, sort, title } = column;
  const side = isNumber ? "right" : undefined;
  if (sort === undefined)
    return (
      <th scope="col" class={side}>
        {title}
      </th>
    );
  const isSorted = list.sortProperty === sort;
  const isDown = list.sortOrder === "DESC";
  const order = isDown ? "descending" : "ascending";
  return (
    <th scope="col" class={side} aria-sort={isSorted ? order : "none"}>
      <button
        type="button"
        onClick={() => router.set({ sort, order: isSorted && !isDown ? "DESC" : "ASC", page: undefined })}
      >
        {title}
      </button>
    </th>
  );
}

function Pager<Row>({ page, list }: { readonly page: TablePage<Row>; readonly list: ListState }): JSX.Element | null {
  const router = useRouter();
  if (page.totalElements === 0) return null;
  const first = list.page * list.pageSize + 1;
  const go = (to: number): void => router.set({ page: to === 0 ? undefined : String(to + 1) });
  return (
    <div class="pager">
      <span class="soft small num">
        {text.table.range(
          formatCount(first),
          formatCount(first + page.data.length - 1),
          formatCount(page.totalElements),
        )}
      </span>
      <div class="row">
        <Button isSlim isDisabled={list.page === 0} onClick={() => go(list.page - 1)}>
          {text.table.previous}
        </Button>
        <Button isSlim isDisabled={list.page + 1 >= page.totalPages} onClick={() => go(list.page + 1)}>
          {text.table.next}
        </Button>
      </div>
    </div>
  );
}

/** So long nothing may be typed before the list is asked. */
const TYPING_MS = 250;

/** What is typed goes to the server once the typing pauses. */
export function SearchField({ label }: { readonly label: string }): JSX.Element {
  const router = useRouter();
  const asked = router.query["search"] ?? "";
  const [typed, setTyped] = useState(asked);
  useEffect(() => {
    if (typed === asked) return undefined;
    const timer = setTimeout(() => router.set({ search: typed, page: undefined }), TYPING_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  return (
    <input
      class="input grow"
      type="search"
      placeholder={label}
      aria-label={label}
      value={typed}
      onInput={(event) => setTyped(event.currentTarget.value)}
    />
  );
}
