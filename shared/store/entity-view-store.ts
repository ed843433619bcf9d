import type { Uuid } from "../core/ids.ts";
import type { AttributeScope } from "../entities/attributes.ts";
import type { Change } from "../entities/change.ts";
import type { EntityRecord } from "../entities/entity-record.ts";
import { entityViewForm, viewedKeys, viewedOf, type EntityViewInput } from "../entities/entity-view.ts";
import { attributesSaved, putAttributes, readAttributeRows } from "./attribute-store.ts";
import { saveForm, type NamePolicy } from "./entity-save.ts";
import type { StoreDeps } from "./store-deps.ts";
import type { Outcome, Queryable } from "./unit-of-work.ts";

export interface EntityViewSave {
  readonly tenantId: Uuid;
  readonly input: EntityViewInput;
  readonly naming?: NamePolicy | undefined;
}

/**
 * Creates or updates a view; the attributes that it lists are copied from what it is of, as they are now.
 *
 * @throws AppError NOT_FOUND, VERSION_CONFLICT, ALREADY_EXISTS, INVALID_ARGUMENT
 */
export async function saveEntityView(
  tx: Queryable,
  deps: StoreDeps,
  save: EntityViewSave,
): Promise<Outcome<EntityRecord>> {
  const saved = await saveForm(tx, deps, { form: entityViewForm, ...save });
  return { result: saved.result, changes: [...saved.changes, ...(await copyAttributes(tx, saved.result))] };
}

async function copyAttributes(tx: Queryable, view: EntityRecord): Promise<Change[]> {
  const viewed = viewedOf(view.body);
  if (viewed === null) return [];
  const { cs, ss, sh } = viewedKeys(view).attributes;
  const wanted: readonly (readonly [AttributeScope, readonly string[]])[] = [
    ["CLIENT_SCOPE", cs],
    ["SERVER_SCOPE", ss],
    ["SHARED_SCOPE", sh],
  ];
  const changes: Change[] = [];
  for (const [scope, keys] of wanted) {
    if (keys.length === 0) continue;
    const rows = await readAttributeRows(tx, { entityId: viewed.id, scopes: [scope], keys });
    const copies = rows.map((row) => ({ ...row, entityId: view.id }));
    const stored = await putAttributes(tx, copies, "newer");
    if (stored.length > 0) changes.push(attributesSaved({ type: "ENTITY_VIEW", id: view.id }, scope, stored));
  }
  return changes;
}
