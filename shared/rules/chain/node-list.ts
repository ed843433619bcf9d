import type { NodeKind } from "./node-kind.ts";
import { aggregate } from "./nodes/aggregate.ts";
import { clearAlarm, createAlarm } from "./nodes/alarm.ts";
import { copyKeys, deleteKeys, renameKeys } from "./nodes/change-keys.ts";
import { changeOriginator } from "./nodes/change-originator.ts";
import { checkFields } from "./nodes/check-fields.ts";
import { checkRelation } from "./nodes/check-relation.ts";
import { countMessages } from "./nodes/count.ts";
import { deduplicate } from "./nodes/deduplicate.ts";
import { delay } from "./nodes/delay.ts";
import { generator } from "./nodes/generator.ts";
import { geofenceFilter } from "./nodes/geofence.ts";
import { getAttributes, getDeviceAttributes } from "./nodes/get-attributes.ts";
import { getCustomerData, getOriginatorFields, getRelatedData, getTenantData } from "./nodes/get-mapped-data.ts";
import { httpCall } from "./nodes/http-call.ts";
import { logMessage } from "./nodes/log.ts";
import { messageTypeFilter } from "./nodes/message-type-filter.ts";
import { messageTypeSwitch } from "./nodes/message-type-switch.ts";
import { mqttPublish } from "./nodes/mqtt-publish.ts";
import {
  assetProfileSwitch,
  deviceProfileSwitch,
  originatorTypeFilter,
  originatorTypeSwitch,
} from "./nodes/originator-type.ts";
import { pushToCloud } from "./nodes/push-to-cloud.ts";
import { replyRpc, sendRpc } from "./nodes/rpc.ts";
import { acknowledge, checkpoint, ruleChainInput, ruleChainOutput } from "./nodes/rule-chain.ts";
import { deleteAttributes, saveAttributes } from "./nodes/save-attributes.ts";
import { saveTelemetry } from "./nodes/save-telemetry.ts";
import { scriptFilter } from "./nodes/script-filter.ts";
import { scriptSwitch } from "./nodes/script-switch.ts";
import { scriptTransform } from "./nodes/script-transform.ts";
import { splitArray } from "./nodes/split-array.ts";

/** Every kind of node that runs; a chain may have others, which are listed as not mapped. */
export const NODE_KINDS: readonly NodeKind[] = [
  messageTypeFilter,
  messageTypeSwitch,
  originatorTypeFilter,
  originatorTypeSwitch,
  deviceProfileSwitch,
  assetProfileSwitch,
  scriptFilter,
  scriptSwitch,
  checkFields,
  checkRelation,
  geofenceFilter,
  scriptTransform,
  changeOriginator,
  renameKeys,
  copyKeys,
  deleteKeys,
  splitArray,
  getAttributes,
  getDeviceAttributes,
  getCustomerData,
  getTenantData,
  getRelatedData,
  getOriginatorFields,
  saveTelemetry,
  saveAttributes,
  deleteAttributes,
  createAlarm,
  clearAlarm,
  sendRpc,
  replyRpc,
  pushToCloud,
  delay,
  deduplicate,
  aggregate,
  countMessages,
  generator,
  httpCall,
  mqttPublish,
  logMessage,
  ruleChainInput,
  ruleChainOutput,
  checkpoint,
  acknowledge,
];
