// Messages of the public device API that are the same in each profile, and schemas of a profile that names none.

export const PUBLIC_MESSAGES = `
syntax = "proto3";
message ClaimDevice { string secretKey = 1; int64 durationMs = 2; }
message AttributesRequest { string clientKeys = 1; string sharedKeys = 2; }
message RpcRequest { string method = 1; string params = 2; }
enum KeyValueType { BOOLEAN_V = 0; LONG_V = 1; DOUBLE_V = 2; STRING_V = 3; JSON_V = 4; }
message KeyValue {
  string key = 1;
  KeyValueType type = 2;
  bool bool_v = 3;
  int64 long_v = 4;
  double double_v = 5;
  string string_v = 6;
  string json_v = 7;
}
message TsKv { int64 ts = 1; KeyValue kv = 2; }
message AttributesResponse { int32 requestId = 1; repeated TsKv client = 2; repeated TsKv shared = 3; }
message AttributesUpdate { repeated TsKv sharedUpdated = 1; repeated string sharedDeleted = 2; }
message RpcResponse { int32 requestId = 1; string payload = 2; string error = 3; }
`;

/** By their member in the profile. */
export const DEFAULT_SCHEMAS = {
  deviceTelemetryProtoSchema: `
syntax = "proto3";
package telemetry;
message SensorDataReading {
  optional double temperature = 1;
  optional double humidity = 2;
  InnerObject innerObject = 3;
  message InnerObject {
    optional string key1 = 1;
    optional bool key2 = 2;
    optional double key3 = 3;
    optional int32 key4 = 4;
    optional string key5 = 5;
  }
}
`,
  deviceAttributesProtoSchema: `
syntax = "proto3";
package attributes;
message SensorConfiguration {
  optional string firmwareVersion = 1;
  optional string serialNumber = 2;
}
`,
  deviceRpcRequestProtoSchema: `
syntax = "proto3";
package rpc;
message RpcRequestMsg {
  optional string method = 1;
  optional int32 requestId = 2;
  optional string params = 3;
}
`,
  deviceRpcResponseProtoSchema: `
syntax = "proto3";
package rpc;
message RpcResponseMsg {
  optional string payload = 1;
}
`,
} as const;
