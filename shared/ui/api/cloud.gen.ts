// Made by `bun run generate` from the routes: change those.

export type Alarm = {
  readonly id: EntityId;
  readonly createdTime: number;
  readonly tenantId: EntityId;
  readonly customerId: EntityId;
  readonly type: string;
  readonly originator: EntityId;
  readonly severity: "CRITICAL" | "MAJOR" | "MINOR" | "WARNING" | "INDETERMINATE";
  readonly acknowledged: boolean;
  readonly cleared: boolean;
  readonly assigneeId: EntityId | null;
  readonly startTs: number;
  readonly endTs: number;
  readonly ackTs: number;
  readonly clearTs: number;
  readonly assignTs: number;
  readonly details: unknown;
  readonly propagate: boolean;
  readonly propagateToOwner: boolean;
  readonly propagateToTenant: boolean;
  readonly propagateRelationTypes: readonly string[];
  readonly name: string;
  readonly status: "ACTIVE_UNACK" | "ACTIVE_ACK" | "CLEARED_UNACK" | "CLEARED_ACK";
};

export type AlarmComment = {
  readonly id: { readonly id: string };
  readonly createdTime: number;
  readonly alarmId: EntityId;
  readonly userId: EntityId | null;
  readonly type: "OTHER" | "SYSTEM";
  readonly comment: { readonly [name: string]: unknown };
  readonly name: string;
};

export type AlarmCommentInfo = {
  readonly id: { readonly id: string };
  readonly createdTime: number;
  readonly alarmId: EntityId;
  readonly userId: EntityId | null;
  readonly type: "OTHER" | "SYSTEM";
  readonly comment: { readonly [name: string]: unknown };
  readonly name: string;
  readonly firstName: string | null;
  readonly lastName: string | null;
  readonly email: string | null;
};

export type AlarmCommentInput = {
  readonly id?: { readonly id: string } | null;
  readonly comment: { readonly text: string };
};

export type AlarmCountQuery = {
  readonly entityFilter?: EntityFilter | null;
  readonly keyFilters?: readonly KeyFilter[] | null;
  readonly keyFiltersOperation?: "AND" | "OR" | null;
  readonly startTs?: number | null;
  readonly endTs?: number | null;
  readonly timeWindow?: number | null;
  readonly searchPropagatedAlarms?: boolean | null;
  readonly statusList?: readonly ("ANY" | "ACTIVE" | "CLEARED" | "ACK" | "UNACK")[] | null;
  readonly severityList?: readonly ("CRITICAL" | "MAJOR" | "MINOR" | "WARNING" | "INDETERMINATE")[] | null;
  readonly typeList?: readonly string[] | null;
  readonly assigneeId?: { readonly id: unknown } | null;
};

export type AlarmData = {
  readonly id: EntityId;
  readonly createdTime: number;
  readonly tenantId: EntityId;
  readonly customerId: EntityId;
  readonly type: string;
  readonly originator: EntityId;
  readonly severity: "CRITICAL" | "MAJOR" | "MINOR" | "WARNING" | "INDETERMINATE";
  readonly acknowledged: boolean;
  readonly cleared: boolean;
  readonly assigneeId: EntityId | null;
  readonly startTs: number;
  readonly endTs: number;
  readonly ackTs: number;
  readonly clearTs: number;
  readonly assignTs: number;
  readonly details: unknown;
  readonly propagate: boolean;
  readonly propagateToOwner: boolean;
  readonly propagateToTenant: boolean;
  readonly propagateRelationTypes: readonly string[];
  readonly name: string;
  readonly status: "ACTIVE_UNACK" | "ACTIVE_ACK" | "CLEARED_UNACK" | "CLEARED_ACK";
  readonly originatorName: string;
  readonly originatorLabel: string | null;
  readonly originatorDisplayName: string;
  readonly assignee: {
    readonly id: EntityId;
    readonly firstName: string | null;
    readonly lastName: string | null;
    readonly email: string;
  } | null;
  readonly entityId: { readonly entityType: string; readonly id: string };
  readonly latest: {
    readonly [name: string]: { readonly [name: string]: { readonly ts: number; readonly value: string } };
  };
};

export type AlarmDataQuery = {
  readonly entityFilter: EntityFilter;
  readonly keyFilters?: readonly KeyFilter[] | null;
  readonly keyFiltersOperation?: "AND" | "OR" | null;
  readonly pageLink: {
    readonly pageSize: number;
    readonly page: number;
    readonly textSearch?: string | null;
    readonly dynamic?: boolean | null;
    readonly startTs?: number | null;
    readonly endTs?: number | null;
    readonly timeWindow?: number | null;
    readonly searchPropagatedAlarms?: boolean | null;
    readonly statusList?: readonly ("ANY" | "ACTIVE" | "CLEARED" | "ACK" | "UNACK")[] | null;
    readonly severityList?: readonly ("CRITICAL" | "MAJOR" | "MINOR" | "WARNING" | "INDETERMINATE")[] | null;
    readonly typeList?: readonly string[] | null;
    readonly assigneeId?: { readonly id: unknown } | null;
    readonly sortOrder?: {
      readonly key: {
        readonly type:
          | "ENTITY_FIELD"
          | "ATTRIBUTE"
          | "CLIENT_ATTRIBUTE"
          | "SHARED_ATTRIBUTE"
          | "SERVER_ATTRIBUTE"
          | "TIME_SERIES"
          | "ALARM_FIELD";
        readonly key: string;
      };
      readonly direction?: "ASC" | "DESC" | null;
    } | null;
  };
  readonly alarmFields?:
    | readonly {
        readonly type:
          | "ENTITY_FIELD"
          | "ATTRIBUTE"
          | "CLIENT_ATTRIBUTE"
          | "SHARED_ATTRIBUTE"
          | "SERVER_ATTRIBUTE"
          | "TIME_SERIES"
          | "ALARM_FIELD";
        readonly key: string;
      }[]
    | null;
  readonly entityFields?: readonly EntityKey[] | null;
  readonly latestValues?: readonly EntityKey[] | null;
};

export type AlarmInfo = {
  readonly id: EntityId;
  readonly createdTime: number;
  readonly tenantId: EntityId;
  readonly customerId: EntityId;
  readonly type: string;
  readonly originator: EntityId;
  readonly severity: "CRITICAL" | "MAJOR" | "MINOR" | "WARNING" | "INDETERMINATE";
  readonly acknowledged: boolean;
  readonly cleared: boolean;
  readonly assigneeId: EntityId | null;
  readonly startTs: number;
  readonly endTs: number;
  readonly ackTs: number;
  readonly clearTs: number;
  readonly assignTs: number;
  readonly details: unknown;
  readonly propagate: boolean;
  readonly propagateToOwner: boolean;
  readonly propagateToTenant: boolean;
  readonly propagateRelationTypes: readonly string[];
  readonly name: string;
  readonly status: "ACTIVE_UNACK" | "ACTIVE_ACK" | "CLEARED_UNACK" | "CLEARED_ACK";
  readonly originatorName: string;
  readonly originatorLabel: string | null;
  readonly originatorDisplayName: string;
  readonly assignee: {
    readonly id: EntityId;
    readonly firstName: string | null;
    readonly lastName: string | null;
    readonly email: string;
  } | null;
};

export type AlarmInput = {
  readonly id?: { readonly id: string } | null;
  readonly originator: { readonly entityType: string; readonly id: string };
  readonly type: string;
  readonly severity: "CRITICAL" | "MAJOR" | "MINOR" | "WARNING" | "INDETERMINATE";
  readonly acknowledged?: boolean | null;
  readonly cleared?: boolean | null;
  readonly assigneeId?: { readonly id: string } | null;
  readonly startTs?: number | null;
  readonly endTs?: number | null;
  readonly ackTs?: number | null;
  readonly clearTs?: number | null;
  readonly details?: unknown | null;
  readonly propagate?: boolean | null;
  readonly propagateToOwner?: boolean | null;
  readonly propagateToTenant?: boolean | null;
  readonly propagateRelationTypes?: readonly string[] | null;
};

export type AlarmRuleTestInput = {
  readonly deviceId: { readonly id: string };
  readonly startTs: number;
  readonly endTs: number;
  readonly alarms?: readonly unknown[] | null;
};

export type ApiKey = {
  readonly id: EntityId;
  readonly createdTime: number;
  readonly tenantId: EntityId;
  readonly userId: EntityId;
  readonly description: string;
  readonly expirationTime: number;
  readonly enabled: boolean;
  readonly expired: boolean;
};

export type ApiKeyInput = {
  readonly userId?: { readonly id: string } | null;
  readonly description: string;
  readonly expirationTime?: number | null;
  readonly enabled?: boolean | null;
};

export type Asset = {
  readonly id: EntityId;
  readonly createdTime: number;
  readonly tenantId: EntityId;
  readonly customerId: EntityId;
  readonly name: string;
  readonly type: string;
  readonly label: string | null;
  readonly assetProfileId: EntityId;
  readonly externalId: EntityId | null;
  readonly version: number;
  readonly additionalInfo: { readonly [name: string]: unknown } | null;
};

export type AssetInfo = {
  readonly id: EntityId;
  readonly createdTime: number;
  readonly tenantId: EntityId;
  readonly customerId: EntityId;
  readonly name: string;
  readonly type: string;
  readonly label: string | null;
  readonly assetProfileId: EntityId;
  readonly externalId: EntityId | null;
  readonly version: number;
  readonly additionalInfo: { readonly [name: string]: unknown } | null;
  readonly customerTitle: string | null;
  readonly customerIsPublic: boolean;
  readonly assetProfileName: string;
};

export type AssetInput = {
  readonly id?: { readonly id: string } | null;
  readonly customerId?: { readonly id: string } | null;
  readonly name: string;
  readonly type?: string | null;
  readonly label?: string | null;
  readonly assetProfileId?: { readonly id: string } | null;
  readonly version?: number | null;
  readonly additionalInfo?: { readonly [name: string]: unknown } | null;
};

export type AssetProfile = {
  readonly id: EntityId;
  readonly createdTime: number;
  readonly tenantId: EntityId;
  readonly name: string;
  readonly description: string | null;
  readonly image: string | null;
  readonly default: boolean;
  readonly defaultRuleChainId: EntityId | null;
  readonly defaultDashboardId: EntityId | null;
  readonly defaultQueueName: string | null;
  readonly defaultEdgeRuleChainId: EntityId | null;
  readonly externalId: EntityId | null;
  readonly version: number;
};

export type AssetProfileInfo = {
  readonly id: EntityId;
  readonly tenantId: EntityId;
  readonly name: string;
  readonly image: string | null;
  readonly defaultDashboardId: EntityId | null;
};

export type AssetProfileInput = {
  readonly id?: { readonly id: string } | null;
  readonly name: string;
  readonly description?: string | null;
  readonly image?: string | null;
  readonly defaultRuleChainId?: { readonly id: string } | null;
  readonly defaultDashboardId?: { readonly id: string } | null;
  readonly defaultQueueName?: string | null;
  readonly defaultEdgeRuleChainId?: { readonly id: string } | null;
  readonly version?: number | null;
};

export type AuditLog = {
  readonly id: { readonly id: string };
  readonly createdTime: number;
  readonly tenantId: EntityId;
  readonly customerId: EntityId;
  readonly entityId: EntityId;
  readonly entityName: string | null;
  readonly userId: EntityId;
  readonly userName: string;
  readonly actionType: string;
  readonly actionData: { readonly [name: string]: unknown };
  readonly actionStatus: "SUCCESS" | "FAILURE";
  readonly actionFailureDetails: string;
};

export type Backfill = {
  readonly id: { readonly id: string };
  readonly createdTime: number;
  readonly updatedTime: number;
  readonly edgeId: EntityId;
  readonly entityId: EntityId;
  readonly keys: readonly string[] | null;
  readonly startTs: number;
  readonly endTs: number;
  readonly state: "QUEUED" | "RUNNING" | "CANCELLED" | "FAILED" | "DONE";
  readonly reason: string | null;
  readonly sentUpToTs: number;
  readonly records: number;
};

export type BackfillInput = {
  readonly entityId: { readonly entityType: string; readonly id: string };
  readonly keys?: readonly string[] | null;
  readonly startTs: number;
  readonly endTs: number;
};

export type BulkImport = {
  readonly file: string;
  readonly mapping: {
    readonly columns: readonly { readonly type: string; readonly key?: string | null }[];
    readonly delimiter?: string | null;
    readonly update?: boolean | null;
    readonly header?: boolean | null;
  };
};

export type BulkImportResult = {
  readonly created: number;
  readonly updated: number;
  readonly errors: number;
  readonly errorsList: readonly string[];
};

export type ClaimCode = { readonly claimCode: string; readonly expirationTime: number };

export type ClaimableEdge = { readonly claimCode: string; readonly expirationTime: number; readonly edge: Edge };

export type Customer = {
  readonly id: EntityId;
  readonly createdTime: number;
  readonly tenantId: EntityId;
  readonly title: string;
  readonly name: string;
  readonly country: string | null;
  readonly state: string | null;
  readonly city: string | null;
  readonly address: string | null;
  readonly address2: string | null;
  readonly zip: string | null;
  readonly phone: string | null;
  readonly email: string | null;
  readonly externalId: EntityId | null;
  readonly version: number;
  readonly additionalInfo: { readonly [name: string]: unknown } | null;
};

export type CustomerInput = {
  readonly country?: string | null;
  readonly state?: string | null;
  readonly city?: string | null;
  readonly address?: string | null;
  readonly address2?: string | null;
  readonly zip?: string | null;
  readonly phone?: string | null;
  readonly email?: string | null;
  readonly id?: { readonly id: string } | null;
  readonly title: string;
  readonly version?: number | null;
  readonly additionalInfo?: { readonly [name: string]: unknown } | null;
};

export type Dashboard = {
  readonly id: EntityId;
  readonly createdTime: number;
  readonly tenantId: EntityId;
  readonly title: string;
  readonly name: string;
  readonly image: string | null;
  readonly assignedCustomers: readonly {
    readonly customerId: EntityId;
    readonly title: string;
    readonly public: boolean;
  }[];
  readonly mobileHide: boolean;
  readonly mobileOrder: number | null;
  readonly externalId: EntityId | null;
  readonly resources: readonly ExportedFile[] | null;
  readonly version: number;
  readonly configuration: unknown;
};

export type DashboardInfo = {
  readonly id: EntityId;
  readonly createdTime: number;
  readonly tenantId: EntityId;
  readonly title: string;
  readonly name: string;
  readonly image: string | null;
  readonly assignedCustomers: readonly {
    readonly customerId: EntityId;
    readonly title: string;
    readonly public: boolean;
  }[];
  readonly mobileHide: boolean;
  readonly mobileOrder: number | null;
  readonly externalId: EntityId | null;
  readonly resources: readonly ExportedFile[] | null;
  readonly version: number;
};

export type DefaultRuleChainInput = { readonly name: string };

export type Device = {
  readonly id: EntityId;
  readonly createdTime: number;
  readonly tenantId: EntityId;
  readonly customerId: EntityId;
  readonly name: string;
  readonly type: string;
  readonly label: string | null;
  readonly deviceProfileId: EntityId;
  readonly firmwareId: EntityId | null;
  readonly softwareId: EntityId | null;
  readonly externalId: EntityId | null;
  readonly version: number;
  readonly additionalInfo: { readonly [name: string]: unknown } | null;
  readonly deviceData: { readonly [name: string]: unknown };
};

export type DeviceConnectivity = {
  readonly http?: { readonly http?: string; readonly https?: string };
  readonly mqtt?: {
    readonly mqtt?: readonly string[];
    readonly mqtts?: readonly string[];
    readonly docker: { readonly mqtt?: string; readonly mqtts?: string };
  };
  readonly coap?: { readonly coap: string; readonly docker: { readonly coap: string } };
};

export type DeviceCredentials = {
  readonly id: { readonly id: string };
  readonly createdTime: number;
  readonly deviceId: EntityId;
  readonly credentialsType: "ACCESS_TOKEN" | "X509_CERTIFICATE" | "MQTT_BASIC";
  readonly credentialsId: string;
  readonly credentialsValue: string | null;
  readonly version: number;
};

export type DeviceCredentialsInput = {
  readonly id?: { readonly id: string } | null;
  readonly deviceId?: { readonly id: string } | null;
  readonly credentialsType: "ACCESS_TOKEN" | "X509_CERTIFICATE" | "MQTT_BASIC";
  readonly credentialsId?: string | null;
  readonly credentialsValue?: string | null;
  readonly version?: number | null;
};

export type DeviceInfo = {
  readonly id: EntityId;
  readonly createdTime: number;
  readonly tenantId: EntityId;
  readonly customerId: EntityId;
  readonly name: string;
  readonly type: string;
  readonly label: string | null;
  readonly deviceProfileId: EntityId;
  readonly firmwareId: EntityId | null;
  readonly softwareId: EntityId | null;
  readonly externalId: EntityId | null;
  readonly version: number;
  readonly additionalInfo: { readonly [name: string]: unknown } | null;
  readonly deviceData: { readonly [name: string]: unknown };
  readonly customerTitle: string | null;
  readonly customerIsPublic: boolean;
  readonly deviceProfileName: string;
  readonly active: boolean;
};

export type DeviceInput = {
  readonly id?: { readonly id: string } | null;
  readonly customerId?: { readonly id: string } | null;
  readonly name: string;
  readonly type?: string | null;
  readonly label?: string | null;
  readonly deviceProfileId?: { readonly id: string } | null;
  readonly firmwareId?: { readonly id: string } | null;
  readonly softwareId?: { readonly id: string } | null;
  readonly version?: number | null;
  readonly additionalInfo?: { readonly [name: string]: unknown } | null;
  readonly deviceData?: { readonly [name: string]: unknown } | null;
};

export type DeviceProfile = {
  readonly id: EntityId;
  readonly createdTime: number;
  readonly tenantId: EntityId;
  readonly name: string;
  readonly description: string | null;
  readonly image: string | null;
  readonly default: boolean;
  readonly type: string;
  readonly transportType: string;
  readonly provisionType: string;
  readonly defaultRuleChainId: EntityId | null;
  readonly defaultDashboardId: EntityId | null;
  readonly defaultQueueName: string | null;
  readonly provisionDeviceKey: string | null;
  readonly firmwareId: EntityId | null;
  readonly softwareId: EntityId | null;
  readonly defaultEdgeRuleChainId: EntityId | null;
  readonly externalId: EntityId | null;
  readonly version: number;
  readonly profileData: { readonly [name: string]: unknown };
};

export type DeviceProfileInfo = {
  readonly id: EntityId;
  readonly tenantId: EntityId;
  readonly name: string;
  readonly image: string | null;
  readonly defaultDashboardId: EntityId | null;
  readonly type: string;
  readonly transportType: string;
};

export type DeviceProfileInput = {
  readonly id?: { readonly id: string } | null;
  readonly name: string;
  readonly description?: string | null;
  readonly image?: string | null;
  readonly type?: "DEFAULT" | null;
  readonly transportType?: "DEFAULT" | "MQTT" | "COAP" | "LWM2M" | "SNMP" | null;
  readonly provisionType?:
    | "DISABLED"
    | "ALLOW_CREATE_NEW_DEVICES"
    | "CHECK_PRE_PROVISIONED_DEVICES"
    | "X509_CERTIFICATE_CHAIN"
    | null;
  readonly defaultRuleChainId?: { readonly id: string } | null;
  readonly defaultDashboardId?: { readonly id: string } | null;
  readonly defaultQueueName?: string | null;
  readonly provisionDeviceKey?: string | null;
  readonly firmwareId?: { readonly id: string } | null;
  readonly softwareId?: { readonly id: string } | null;
  readonly defaultEdgeRuleChainId?: { readonly id: string } | null;
  readonly version?: number | null;
  readonly profileData?: { readonly [name: string]: unknown } | null;
};

export type DownlinkReplay = { readonly replayed: readonly number[] };

export type Edge = {
  readonly id: EntityId;
  readonly createdTime: number;
  readonly tenantId: EntityId;
  readonly customerId: EntityId;
  readonly rootRuleChainId: EntityId;
  readonly name: string;
  readonly type: string;
  readonly label: string | null;
  readonly routingKey: string;
  readonly secret: string;
  readonly version: number;
  readonly additionalInfo: { readonly [name: string]: unknown } | null;
};

export type EdgeConflict = {
  readonly id: { readonly id: string };
  readonly createdTime: number;
  readonly edgeId: EntityId;
  readonly entityId: EntityId;
  readonly entityName: string;
  readonly kind: "fields" | "name" | "deleted" | "not-allowed";
  readonly fields: readonly { readonly field: string; readonly kept: string; readonly dropped: string }[];
};

export type EdgeEvent = {
  readonly id: { readonly id: string };
  readonly createdTime: number;
  readonly seqId: number;
  readonly tenantId: EntityId;
  readonly edgeId: EntityId;
  readonly action: string;
  readonly entityId: string;
  readonly uid: string;
  readonly type: string;
  readonly body: { readonly [name: string]: unknown } | null;
  readonly state: "queued" | "sent" | "applied" | "failed" | "replayed" | "discarded";
  readonly reason: string | null;
  readonly appliedTime: number | null;
  readonly replaySeqId: number | null;
};

export type EdgeFleet = {
  readonly time: number;
  readonly edges: number;
  readonly connected: number;
  readonly outOfSync: number;
  readonly offline: number;
  readonly neverConnected: number;
  readonly states: readonly {
    readonly state:
      | "DATABASE_DOWN"
      | "QUOTA"
      | "IDENTITY_CONFLICT"
      | "STORE_MISMATCH"
      | "EDGE_DELETED"
      | "CREDENTIALS_REFUSED"
      | "PEER_UNSUPPORTED"
      | "CERTIFICATE_REFUSED"
      | "CLOUD_DATABASE_DOWN"
      | "STALLED"
      | "NO_ROUTE"
      | "LINK_DOWN"
      | "PEER_STOPPED"
      | "SESSION_FAILED"
      | "CONNECTING"
      | "NEVER_CONNECTED"
      | "NOT_CONFIGURED"
      | "PARKED_ITEMS"
      | "SENDING"
      | "CLOCK_SKEW"
      | "IN_SYNC";
    readonly edges: number;
  }[];
  readonly backlogItems: number;
  readonly backlogBytes: number;
  readonly parkedItems: number;
  readonly downlinksWaiting: number;
  readonly attention: readonly {
    readonly id: EntityId;
    readonly name: string;
    readonly state:
      | "DATABASE_DOWN"
      | "QUOTA"
      | "IDENTITY_CONFLICT"
      | "STORE_MISMATCH"
      | "EDGE_DELETED"
      | "CREDENTIALS_REFUSED"
      | "PEER_UNSUPPORTED"
      | "CERTIFICATE_REFUSED"
      | "CLOUD_DATABASE_DOWN"
      | "STALLED"
      | "NO_ROUTE"
      | "LINK_DOWN"
      | "PEER_STOPPED"
      | "SESSION_FAILED"
      | "CONNECTING"
      | "NEVER_CONNECTED"
      | "NOT_CONFIGURED"
      | "PARKED_ITEMS"
      | "SENDING"
      | "CLOCK_SKEW"
      | "IN_SYNC";
    readonly sinceTime: number | null;
  }[];
};

export type EdgeInfo = {
  readonly id: EntityId;
  readonly createdTime: number;
  readonly tenantId: EntityId;
  readonly customerId: EntityId;
  readonly rootRuleChainId: EntityId;
  readonly name: string;
  readonly type: string;
  readonly label: string | null;
  readonly routingKey: string;
  readonly secret: string;
  readonly version: number;
  readonly additionalInfo: { readonly [name: string]: unknown } | null;
  readonly status: EdgeStatus;
  readonly customerTitle: string | null;
  readonly customerIsPublic: boolean;
};

export type EdgeInput = {
  readonly id?: { readonly id: string } | null;
  readonly name: string;
  readonly type?: string | null;
  readonly label?: string | null;
  readonly routingKey?: string | null;
  readonly secret?: string | null;
  readonly version?: number | null;
  readonly additionalInfo?: { readonly [name: string]: unknown } | null;
};

export type EdgeInstructions = { readonly instructions: string };

export type EdgeRights = {
  readonly changes: readonly (
    | "RULE_CHAIN"
    | "DASHBOARD"
    | "DEVICE_PROFILE"
    | "ASSET_PROFILE"
    | "DEVICE"
    | "ASSET"
    | "ENTITY_VIEW"
  )[];
  readonly deletes: "DELETE" | "UNASSIGN";
};

export type EdgeStatus = {
  readonly state: "new" | "connected" | "disconnected";
  readonly reason: string | null;
  readonly edgeVersion: string | null;
  readonly lastConnectTime: number | null;
  readonly lastDisconnectTime: number | null;
  readonly lastSeenTime: number | null;
  readonly clockSkewMs: number | null;
  readonly sync: EdgeSync | null;
  readonly syncInProgress: boolean;
  readonly warning: "CLONED" | null;
  readonly notice: { readonly time: number; readonly text: string } | null;
  readonly downlinksWaiting: number;
};

export type EdgeSync = {
  readonly state:
    | "DATABASE_DOWN"
    | "QUOTA"
    | "IDENTITY_CONFLICT"
    | "STORE_MISMATCH"
    | "EDGE_DELETED"
    | "CREDENTIALS_REFUSED"
    | "PEER_UNSUPPORTED"
    | "CERTIFICATE_REFUSED"
    | "CLOUD_DATABASE_DOWN"
    | "STALLED"
    | "NO_ROUTE"
    | "LINK_DOWN"
    | "PEER_STOPPED"
    | "SESSION_FAILED"
    | "CONNECTING"
    | "NEVER_CONNECTED"
    | "NOT_CONFIGURED"
    | "PARKED_ITEMS"
    | "SENDING"
    | "CLOCK_SKEW"
    | "IN_SYNC";
  readonly reasons: readonly {
    readonly code:
      | "DATABASE_DOWN"
      | "QUOTA"
      | "IDENTITY_CONFLICT"
      | "STORE_MISMATCH"
      | "EDGE_DELETED"
      | "CREDENTIALS_REFUSED"
      | "PEER_UNSUPPORTED"
      | "CERTIFICATE_REFUSED"
      | "CLOUD_DATABASE_DOWN"
      | "STALLED"
      | "NO_ROUTE"
      | "LINK_DOWN"
      | "PEER_STOPPED"
      | "SESSION_FAILED"
      | "CONNECTING"
      | "NEVER_CONNECTED"
      | "NOT_CONFIGURED"
      | "PARKED_ITEMS"
      | "SENDING"
      | "CLOCK_SKEW"
      | "IN_SYNC";
    readonly text: string;
    readonly detail: string | null;
  }[];
  readonly sinceTime: number | null;
  readonly reportedTime: number | null;
  readonly backlog: readonly {
    readonly lane: string;
    readonly items: number;
    readonly bytes: number | null;
    readonly oldestTime: number | null;
  }[];
  readonly lagMs: number | null;
  readonly parkedItems: number;
  readonly quota: "ok" | "thinning" | "full";
  readonly thinned: readonly ThinnedKey[];
  readonly edgeState: string | null;
};

export type EdgeSyncRounds = {
  readonly inProgress: boolean;
  readonly result: {
    readonly time: number;
    readonly tookMs: number;
    readonly complete: boolean;
    readonly checkedTypes: readonly string[];
    readonly missing: number;
    readonly stale: number;
    readonly surplus: number;
    readonly unknown: number;
    readonly lasting: number;
  } | null;
};

export type EdgeTelemetryGap = {
  readonly deviceId: EntityId;
  readonly startTs: number;
  readonly endTs: number;
  readonly records: number;
  readonly reason: "thinned" | "dropped";
  readonly removedTime: number;
  readonly edgeId: EntityId;
};

export type EdgeWithStatus = {
  readonly id: EntityId;
  readonly createdTime: number;
  readonly tenantId: EntityId;
  readonly customerId: EntityId;
  readonly rootRuleChainId: EntityId;
  readonly name: string;
  readonly type: string;
  readonly label: string | null;
  readonly routingKey: string;
  readonly secret: string;
  readonly version: number;
  readonly additionalInfo: { readonly [name: string]: unknown } | null;
  readonly status: EdgeStatus;
};

export type EntityCountQuery = {
  readonly entityFilter: EntityFilter;
  readonly keyFilters?: readonly KeyFilter[] | null;
  readonly keyFiltersOperation?: "AND" | "OR" | null;
};

export type EntityData = {
  readonly entityId: { readonly entityType: string; readonly id: string };
  readonly latest: {
    readonly [name: string]: { readonly [name: string]: { readonly ts: number; readonly value: string } };
  };
  readonly timeseries: { readonly [name: string]: readonly { readonly ts: number; readonly value: string }[] };
  readonly aggLatest: { readonly [name: string]: unknown };
};

export type EntityDataQuery = {
  readonly entityFilter: EntityFilter;
  readonly keyFilters?: readonly KeyFilter[] | null;
  readonly keyFiltersOperation?: "AND" | "OR" | null;
  readonly pageLink: {
    readonly pageSize: number;
    readonly page: number;
    readonly textSearch?: string | null;
    readonly dynamic?: boolean | null;
    readonly sortOrder?: { readonly key: EntityKey; readonly direction?: "ASC" | "DESC" | null } | null;
  };
  readonly entityFields?: readonly EntityKey[] | null;
  readonly latestValues?: readonly EntityKey[] | null;
};

export type EntityFilter =
  | { readonly type: "singleEntity"; readonly singleEntity: { readonly entityType: string; readonly id: unknown } }
  | { readonly type: "entityList"; readonly entityType: string; readonly entityList: readonly unknown[] }
  | { readonly type: "entityName"; readonly entityType: string; readonly entityNameFilter: string }
  | { readonly type: "entityType"; readonly entityType: string }
  | {
      readonly type: "deviceType" | "assetType" | "edgeType" | "entityViewType";
      readonly deviceTypes?: readonly string[] | null;
      readonly deviceType?: string | null;
      readonly deviceNameFilter?: string | null;
      readonly assetTypes?: readonly string[] | null;
      readonly assetType?: string | null;
      readonly assetNameFilter?: string | null;
      readonly edgeTypes?: readonly string[] | null;
      readonly edgeType?: string | null;
      readonly edgeNameFilter?: string | null;
      readonly entityViewTypes?: readonly string[] | null;
      readonly entityViewType?: string | null;
      readonly entityViewNameFilter?: string | null;
    }
  | {
      readonly type: "relationsQuery";
      readonly rootEntity: { readonly entityType: string; readonly id: unknown };
      readonly direction: "FROM" | "TO";
      readonly maxLevel?: number | null;
      readonly fetchLastLevelOnly?: boolean | null;
      readonly filters?:
        | readonly { readonly relationType?: string | null; readonly entityTypes?: readonly string[] | null }[]
        | null;
    }
  | {
      readonly type: "deviceSearchQuery" | "assetSearchQuery" | "edgeSearchQuery" | "entityViewSearchQuery";
      readonly rootEntity: { readonly entityType: string; readonly id: unknown };
      readonly direction: "FROM" | "TO";
      readonly maxLevel?: number | null;
      readonly fetchLastLevelOnly?: boolean | null;
      readonly deviceTypes?: readonly string[] | null;
      readonly deviceType?: string | null;
      readonly deviceNameFilter?: string | null;
      readonly assetTypes?: readonly string[] | null;
      readonly assetType?: string | null;
      readonly assetNameFilter?: string | null;
      readonly edgeTypes?: readonly string[] | null;
      readonly edgeType?: string | null;
      readonly edgeNameFilter?: string | null;
      readonly entityViewTypes?: readonly string[] | null;
      readonly entityViewType?: string | null;
      readonly entityViewNameFilter?: string | null;
      readonly relationType?: string | null;
    };

export type EntityId = { readonly entityType: string; readonly id: string };

export type EntityKey = {
  readonly type:
    | "ENTITY_FIELD"
    | "ATTRIBUTE"
    | "CLIENT_ATTRIBUTE"
    | "SHARED_ATTRIBUTE"
    | "SERVER_ATTRIBUTE"
    | "TIME_SERIES";
  readonly key: string;
};

export type EntityName = { readonly id: EntityId; readonly name: string };

export type EntityRelation = {
  readonly from: EntityId;
  readonly to: EntityId;
  readonly type: string;
  readonly typeGroup: "COMMON" | "DASHBOARD" | "RULE_CHAIN" | "RULE_NODE" | "EDGE" | "EDGE_AUTO_ASSIGN_RULE_CHAIN";
  readonly version: number;
  readonly additionalInfo: unknown;
};

export type EntityRelationInfo = {
  readonly from: EntityId;
  readonly to: EntityId;
  readonly type: string;
  readonly typeGroup: "COMMON" | "DASHBOARD" | "RULE_CHAIN" | "RULE_NODE" | "EDGE" | "EDGE_AUTO_ASSIGN_RULE_CHAIN";
  readonly version: number;
  readonly additionalInfo: unknown;
  readonly fromName: string | null;
  readonly toName: string | null;
};

export type EntityRelationInput = {
  readonly from: { readonly entityType: string; readonly id: string };
  readonly to: { readonly entityType: string; readonly id: string };
  readonly type: string;
  readonly typeGroup?: string | null;
  readonly additionalInfo?: unknown | null;
};

export type EntityRelationsQuery = {
  readonly parameters: {
    readonly rootId: string;
    readonly rootType: string;
    readonly direction: "FROM" | "TO";
    readonly relationTypeGroup?: string | null;
    readonly maxLevel?: number | null;
    readonly fetchLastLevelOnly?: boolean | null;
  };
  readonly filters?:
    | readonly {
        readonly relationType?: string | null;
        readonly entityTypes?: readonly string[] | null;
        readonly negate?: boolean | null;
      }[]
    | null;
};

export type EntitySearchQuery = {
  readonly parameters: {
    readonly rootId: string;
    readonly rootType: string;
    readonly direction: "FROM" | "TO";
    readonly relationTypeGroup?: string | null;
    readonly maxLevel?: number | null;
    readonly fetchLastLevelOnly?: boolean | null;
  };
  readonly relationType?: string | null;
  readonly deviceTypes?: readonly string[] | null;
  readonly assetTypes?: readonly string[] | null;
  readonly entityViewTypes?: readonly string[] | null;
  readonly edgeTypes?: readonly string[] | null;
};

export type EntitySubtype = { readonly tenantId: EntityId; readonly entityType: string; readonly type: string };

export type EntityView = {
  readonly id: EntityId;
  readonly createdTime: number;
  readonly entityId: EntityId;
  readonly tenantId: EntityId;
  readonly customerId: EntityId;
  readonly name: string;
  readonly type: string;
  readonly keys: {
    readonly timeseries: readonly string[];
    readonly attributes: {
      readonly cs: readonly string[];
      readonly ss: readonly string[];
      readonly sh: readonly string[];
    };
  };
  readonly startTimeMs: number;
  readonly endTimeMs: number;
  readonly externalId: EntityId | null;
  readonly version: number;
  readonly additionalInfo: { readonly [name: string]: unknown } | null;
};

export type EntityViewInfo = {
  readonly id: EntityId;
  readonly createdTime: number;
  readonly entityId: EntityId;
  readonly tenantId: EntityId;
  readonly customerId: EntityId;
  readonly name: string;
  readonly type: string;
  readonly keys: {
    readonly timeseries: readonly string[];
    readonly attributes: {
      readonly cs: readonly string[];
      readonly ss: readonly string[];
      readonly sh: readonly string[];
    };
  };
  readonly startTimeMs: number;
  readonly endTimeMs: number;
  readonly externalId: EntityId | null;
  readonly version: number;
  readonly additionalInfo: { readonly [name: string]: unknown } | null;
  readonly customerTitle: string | null;
  readonly customerIsPublic: boolean;
};

export type EntityViewInput = {
  readonly id?: { readonly id: string } | null;
  readonly customerId?: { readonly id: string } | null;
  readonly name: string;
  readonly type?: string | null;
  readonly entityId: { readonly entityType: "DEVICE" | "ASSET"; readonly id: string };
  readonly keys?: {
    readonly timeseries?: readonly string[] | null;
    readonly attributes?: {
      readonly cs?: readonly string[] | null;
      readonly ss?: readonly string[] | null;
      readonly sh?: readonly string[] | null;
    } | null;
  } | null;
  readonly startTimeMs?: number | null;
  readonly endTimeMs?: number | null;
  readonly version?: number | null;
  readonly additionalInfo?: { readonly [name: string]: unknown } | null;
};

export type Error = {
  readonly status: number;
  readonly message: string;
  readonly errorCode: number;
  readonly timestamp: number;
  readonly field?: string;
};

export type EventFilter = {
  readonly eventType: "LC_EVENT" | "STATS" | "ERROR" | "DEBUG_RULE_NODE" | "DEBUG_RULE_CHAIN";
  readonly server?: string | null;
  readonly event?: string | null;
  readonly status?: string | null;
  readonly errorStr?: string | null;
};

export type ExportedFile = {
  readonly link: string;
  readonly title: string;
  readonly type: "LWM2M_MODEL" | "JKS" | "PKCS_12" | "JS_MODULE" | "IMAGE" | "DASHBOARD" | "GENERAL";
  readonly subType: "IMAGE" | "SCADA_SYMBOL" | "EXTENSION" | "MODULE" | null;
  readonly resourceKey: string;
  readonly fileName: string | null;
  readonly publicResourceKey: string | null;
  readonly public: boolean;
  readonly mediaType: string;
  readonly data: string;
};

export type HomeDashboard = {
  readonly id: EntityId;
  readonly createdTime: number;
  readonly tenantId: EntityId;
  readonly title: string;
  readonly name: string;
  readonly image: string | null;
  readonly assignedCustomers: readonly {
    readonly customerId: EntityId;
    readonly title: string;
    readonly public: boolean;
  }[];
  readonly mobileHide: boolean;
  readonly mobileOrder: number | null;
  readonly externalId: EntityId | null;
  readonly resources: readonly ExportedFile[] | null;
  readonly version: number;
  readonly configuration: unknown;
  readonly hideDashboardToolbar: boolean;
};

export type HomeDashboardInfo = { readonly dashboardId: EntityId | null; readonly hideDashboardToolbar: boolean };

export type HomeDashboardInput = {
  readonly dashboardId?: { readonly id: string } | null;
  readonly hideDashboardToolbar?: boolean | null;
};

export type KeyFilter = {
  readonly key: EntityKey;
  readonly valueType?: string | null;
  readonly predicate?:
    | {
        readonly type: "STRING";
        readonly operation:
          | "EQUAL"
          | "NOT_EQUAL"
          | "STARTS_WITH"
          | "ENDS_WITH"
          | "CONTAINS"
          | "NOT_CONTAINS"
          | "IN"
          | "NOT_IN";
        readonly value: {
          readonly defaultValue?: string | number | boolean | null;
          readonly userValue?: string | number | boolean | null;
          readonly dynamicValue?: {
            readonly sourceType?: "CURRENT_DEVICE" | "CURRENT_USER" | "CURRENT_CUSTOMER" | "CURRENT_TENANT" | null;
            readonly sourceAttribute?: string | null;
            readonly inherit?: boolean | null;
          } | null;
        };
        readonly ignoreCase?: boolean | null;
      }
    | {
        readonly type: "NUMERIC";
        readonly operation: "EQUAL" | "NOT_EQUAL" | "GREATER" | "LESS" | "GREATER_OR_EQUAL" | "LESS_OR_EQUAL";
        readonly value: {
          readonly defaultValue?: string | number | boolean | null;
          readonly userValue?: string | number | boolean | null;
          readonly dynamicValue?: {
            readonly sourceType?: "CURRENT_DEVICE" | "CURRENT_USER" | "CURRENT_CUSTOMER" | "CURRENT_TENANT" | null;
            readonly sourceAttribute?: string | null;
            readonly inherit?: boolean | null;
          } | null;
        };
      }
    | {
        readonly type: "BOOLEAN";
        readonly operation: "EQUAL" | "NOT_EQUAL";
        readonly value: {
          readonly defaultValue?: string | number | boolean | null;
          readonly userValue?: string | number | boolean | null;
          readonly dynamicValue?: {
            readonly sourceType?: "CURRENT_DEVICE" | "CURRENT_USER" | "CURRENT_CUSTOMER" | "CURRENT_TENANT" | null;
            readonly sourceAttribute?: string | null;
            readonly inherit?: boolean | null;
          } | null;
        };
      }
    | {
        readonly type: "COMPLEX";
        readonly operation: "AND" | "OR";
        readonly predicates: readonly (
          | {
              readonly type: "STRING";
              readonly operation:
                | "EQUAL"
                | "NOT_EQUAL"
                | "STARTS_WITH"
                | "ENDS_WITH"
                | "CONTAINS"
                | "NOT_CONTAINS"
                | "IN"
                | "NOT_IN";
              readonly value: {
                readonly defaultValue?: string | number | boolean | null;
                readonly userValue?: string | number | boolean | null;
                readonly dynamicValue?: {
                  readonly sourceType?:
                    | "CURRENT_DEVICE"
                    | "CURRENT_USER"
                    | "CURRENT_CUSTOMER"
                    | "CURRENT_TENANT"
                    | null;
                  readonly sourceAttribute?: string | null;
                  readonly inherit?: boolean | null;
                } | null;
              };
              readonly ignoreCase?: boolean | null;
            }
          | {
              readonly type: "NUMERIC";
              readonly operation: "EQUAL" | "NOT_EQUAL" | "GREATER" | "LESS" | "GREATER_OR_EQUAL" | "LESS_OR_EQUAL";
              readonly value: {
                readonly defaultValue?: string | number | boolean | null;
                readonly userValue?: string | number | boolean | null;
                readonly dynamicValue?: {
                  readonly sourceType?:
                    | "CURRENT_DEVICE"
                    | "CURRENT_USER"
                    | "CURRENT_CUSTOMER"
                    | "CURRENT_TENANT"
                    | null;
                  readonly sourceAttribute?: string | null;
                  readonly inherit?: boolean | null;
                } | null;
              };
            }
          | {
              readonly type: "BOOLEAN";
              readonly operation: "EQUAL" | "NOT_EQUAL";
              readonly value: {
                readonly defaultValue?: string | number | boolean | null;
                readonly userValue?: string | number | boolean | null;
                readonly dynamicValue?: {
                  readonly sourceType?:
                    | "CURRENT_DEVICE"
                    | "CURRENT_USER"
                    | "CURRENT_CUSTOMER"
                    | "CURRENT_TENANT"
                    | null;
                  readonly sourceAttribute?: string | null;
                  readonly inherit?: boolean | null;
                } | null;
              };
            }
          | {
              readonly type: "COMPLEX";
              readonly operation: "AND" | "OR";
              readonly predicates: readonly (
                | {
                    readonly type: "STRING";
                    readonly operation:
                      | "EQUAL"
                      | "NOT_EQUAL"
                      | "STARTS_WITH"
                      | "ENDS_WITH"
                      | "CONTAINS"
                      | "NOT_CONTAINS"
                      | "IN"
                      | "NOT_IN";
                    readonly value: {
                      readonly defaultValue?: string | number | boolean | null;
                      readonly userValue?: string | number | boolean | null;
                      readonly dynamicValue?: {
                        readonly sourceType?:
                          | "CURRENT_DEVICE"
                          | "CURRENT_USER"
                          | "CURRENT_CUSTOMER"
                          | "CURRENT_TENANT"
                          | null;
                        readonly sourceAttribute?: string | null;
                        readonly inherit?: boolean | null;
                      } | null;
                    };
                    readonly ignoreCase?: boolean | null;
                  }
                | {
                    readonly type: "NUMERIC";
                    readonly operation:
                      | "EQUAL"
                      | "NOT_EQUAL"
                      | "GREATER"
                      | "LESS"
                      | "GREATER_OR_EQUAL"
                      | "LESS_OR_EQUAL";
                    readonly value: {
                      readonly defaultValue?: string | number | boolean | null;
                      readonly userValue?: string | number | boolean | null;
                      readonly dynamicValue?: {
                        readonly sourceType?:
                          | "CURRENT_DEVICE"
                          | "CURRENT_USER"
                          | "CURRENT_CUSTOMER"
                          | "CURRENT_TENANT"
                          | null;
                        readonly sourceAttribute?: string | null;
                        readonly inherit?: boolean | null;
                      } | null;
                    };
                  }
                | {
                    readonly type: "BOOLEAN";
                    readonly operation: "EQUAL" | "NOT_EQUAL";
                    readonly value: {
                      readonly defaultValue?: string | number | boolean | null;
                      readonly userValue?: string | number | boolean | null;
                      readonly dynamicValue?: {
                        readonly sourceType?:
                          | "CURRENT_DEVICE"
                          | "CURRENT_USER"
                          | "CURRENT_CUSTOMER"
                          | "CURRENT_TENANT"
                          | null;
                        readonly sourceAttribute?: string | null;
                        readonly inherit?: boolean | null;
                      } | null;
                    };
                  }
                | {
                    readonly type: "COMPLEX";
                    readonly operation: "AND" | "OR";
                    readonly predicates: readonly (
                      | {
                          readonly type: "STRING";
                          readonly operation:
                            | "EQUAL"
                            | "NOT_EQUAL"
                            | "STARTS_WITH"
                            | "ENDS_WITH"
                            | "CONTAINS"
                            | "NOT_CONTAINS"
                            | "IN"
                            | "NOT_IN";
                          readonly value: {
                            readonly defaultValue?: string | number | boolean | null;
                            readonly userValue?: string | number | boolean | null;
                            readonly dynamicValue?: {
                              readonly sourceType?:
                                | "CURRENT_DEVICE"
                                | "CURRENT_USER"
                                | "CURRENT_CUSTOMER"
                                | "CURRENT_TENANT"
                                | null;
                              readonly sourceAttribute?: string | null;
                              readonly inherit?: boolean | null;
                            } | null;
                          };
                          readonly ignoreCase?: boolean | null;
                        }
                      | {
                          readonly type: "NUMERIC";
                          readonly operation:
                            | "EQUAL"
                            | "NOT_EQUAL"
                            | "GREATER"
                            | "LESS"
                            | "GREATER_OR_EQUAL"
                            | "LESS_OR_EQUAL";
                          readonly value: {
                            readonly defaultValue?: string | number | boolean | null;
                            readonly userValue?: string | number | boolean | null;
                            readonly dynamicValue?: {
                              readonly sourceType?:
                                | "CURRENT_DEVICE"
                                | "CURRENT_USER"
                                | "CURRENT_CUSTOMER"
                                | "CURRENT_TENANT"
                                | null;
                              readonly sourceAttribute?: string | null;
                              readonly inherit?: boolean | null;
                            } | null;
                          };
                        }
                      | {
                          readonly type: "BOOLEAN";
                          readonly operation: "EQUAL" | "NOT_EQUAL";
                          readonly value: {
                            readonly defaultValue?: string | number | boolean | null;
                            readonly userValue?: string | number | boolean | null;
                            readonly dynamicValue?: {
                              readonly sourceType?:
                                | "CURRENT_DEVICE"
                                | "CURRENT_USER"
                                | "CURRENT_CUSTOMER"
                                | "CURRENT_TENANT"
                                | null;
                              readonly sourceAttribute?: string | null;
                              readonly inherit?: boolean | null;
                            } | null;
                          };
                        }
                      | {
                          readonly type: "COMPLEX";
                          readonly operation: "AND" | "OR";
                          readonly predicates: readonly (
                            | {
                                readonly type: "STRING";
                                readonly operation:
                                  | "EQUAL"
                                  | "NOT_EQUAL"
                                  | "STARTS_WITH"
                                  | "ENDS_WITH"
                                  | "CONTAINS"
                                  | "NOT_CONTAINS"
                                  | "IN"
                                  | "NOT_IN";
                                readonly value: {
                                  readonly defaultValue?: string | number | boolean | null;
                                  readonly userValue?: string | number | boolean | null;
                                  readonly dynamicValue?: {
                                    readonly sourceType?:
                                      | "CURRENT_DEVICE"
                                      | "CURRENT_USER"
                                      | "CURRENT_CUSTOMER"
                                      | "CURRENT_TENANT"
                                      | null;
                                    readonly sourceAttribute?: string | null;
                                    readonly inherit?: boolean | null;
                                  } | null;
                                };
                                readonly ignoreCase?: boolean | null;
                              }
                            | {
                                readonly type: "NUMERIC";
                                readonly operation:
                                  | "EQUAL"
                                  | "NOT_EQUAL"
                                  | "GREATER"
                                  | "LESS"
                                  | "GREATER_OR_EQUAL"
                                  | "LESS_OR_EQUAL";
                                readonly value: {
                                  readonly defaultValue?: string | number | boolean | null;
                                  readonly userValue?: string | number | boolean | null;
                                  readonly dynamicValue?: {
                                    readonly sourceType?:
                                      | "CURRENT_DEVICE"
                                      | "CURRENT_USER"
                                      | "CURRENT_CUSTOMER"
                                      | "CURRENT_TENANT"
                                      | null;
                                    readonly sourceAttribute?: string | null;
                                    readonly inherit?: boolean | null;
                                  } | null;
                                };
                              }
                            | {
                                readonly type: "BOOLEAN";
                                readonly operation: "EQUAL" | "NOT_EQUAL";
                                readonly value: {
                                  readonly defaultValue?: string | number | boolean | null;
                                  readonly userValue?: string | number | boolean | null;
                                  readonly dynamicValue?: {
                                    readonly sourceType?:
                                      | "CURRENT_DEVICE"
                                      | "CURRENT_USER"
                                      | "CURRENT_CUSTOMER"
                                      | "CURRENT_TENANT"
                                      | null;
                                    readonly sourceAttribute?: string | null;
                                    readonly inherit?: boolean | null;
                                  } | null;
                                };
                              }
                            | {
                                readonly type: "COMPLEX";
                                readonly operation: "AND" | "OR";
                                readonly predicates: readonly (
                                  | {
                                      readonly type: "STRING";
                                      readonly operation:
                                        | "EQUAL"
                                        | "NOT_EQUAL"
                                        | "STARTS_WITH"
                                        | "ENDS_WITH"
                                        | "CONTAINS"
                                        | "NOT_CONTAINS"
                                        | "IN"
                                        | "NOT_IN";
                                      readonly value: {
                                        readonly defaultValue?: string | number | boolean | null;
                                        readonly userValue?: string | number | boolean | null;
                                        readonly dynamicValue?: {
                                          readonly sourceType?:
                                            | "CURRENT_DEVICE"
                                            | "CURRENT_USER"
                                            | "CURRENT_CUSTOMER"
                                            | "CURRENT_TENANT"
                                            | null;
                                          readonly sourceAttribute?: string | null;
                                          readonly inherit?: boolean | null;
                                        } | null;
                                      };
                                      readonly ignoreCase?: boolean | null;
                                    }
                                  | {
                                      readonly type: "NUMERIC";
                                      readonly operation:
                                        | "EQUAL"
                                        | "NOT_EQUAL"
                                        | "GREATER"
                                        | "LESS"
                                        | "GREATER_OR_EQUAL"
                                        | "LESS_OR_EQUAL";
                                      readonly value: {
                                        readonly defaultValue?: string | number | boolean | null;
                                        readonly userValue?: string | number | boolean | null;
                                        readonly dynamicValue?: {
                                          readonly sourceType?:
                                            | "CURRENT_DEVICE"
                                            | "CURRENT_USER"
                                            | "CURRENT_CUSTOMER"
                                            | "CURRENT_TENANT"
                                            | null;
                                          readonly sourceAttribute?: string | null;
                                          readonly inherit?: boolean | null;
                                        } | null;
                                      };
                                    }
                                  | {
                                      readonly type: "BOOLEAN";
                                      readonly operation: "EQUAL" | "NOT_EQUAL";
                                      readonly value: {
                                        readonly defaultValue?: string | number | boolean | null;
                                        readonly userValue?: string | number | boolean | null;
                                        readonly dynamicValue?: {
                                          readonly sourceType?:
                                            | "CURRENT_DEVICE"
                                            | "CURRENT_USER"
                                            | "CURRENT_CUSTOMER"
                                            | "CURRENT_TENANT"
                                            | null;
                                          readonly sourceAttribute?: string | null;
                                          readonly inherit?: boolean | null;
                                        } | null;
                                      };
                                    }
                                )[];
                              }
                          )[];
                        }
                    )[];
                  }
              )[];
            }
        )[];
      }
    | null;
};

export type LifecycleEvent = {
  readonly id: { readonly id: string };
  readonly createdTime: number;
  readonly tenantId: EntityId;
  readonly entityId: EntityId;
  readonly type: "LC_EVENT";
  readonly uid: string;
  readonly body: {
    readonly server: string;
    readonly event: "CONNECTED" | "DISCONNECTED";
    readonly success: boolean;
    readonly error: string | null;
    readonly session: number;
    readonly edgeVersion: string;
  };
};

export type MobileSessionInfo = { readonly fcmTokenTimestamp: number };

export type NewApiKey = {
  readonly id: EntityId;
  readonly createdTime: number;
  readonly tenantId: EntityId;
  readonly userId: EntityId;
  readonly description: string;
  readonly expirationTime: number;
  readonly enabled: boolean;
  readonly value: string;
};

export type NotificationDelivery = {
  readonly id: string;
  readonly ruleId: string;
  readonly alarmId: string;
  readonly alarmType: string;
  readonly severity: string;
  readonly transition: string;
  readonly state: "QUEUED" | "SENT" | "FAILED" | "LEFT_TO_EDGE";
  readonly attempts: number;
  readonly createdTime: number;
  readonly nextAttemptTs: number | null;
  readonly sentTs: number | null;
  readonly error: string | null;
};

export type NotificationRule = {
  readonly id: { readonly entityType: "NOTIFICATION_RULE"; readonly id: string };
  readonly createdTime: number;
  readonly name: string;
  readonly enabled: boolean;
  readonly transitions: readonly string[];
  readonly severities: readonly string[] | null;
  readonly alarmTypes: readonly string[] | null;
  readonly deviceProfileIds: readonly string[] | null;
  readonly entityIds: readonly string[] | null;
  readonly target: { readonly type: string };
  readonly fromEdges: boolean;
};

export type NotificationRuleInput = {
  readonly id?: { readonly id: string } | null;
  readonly name: string;
  readonly enabled?: boolean;
  readonly transitions: readonly ("CREATED" | "SEVERITY_CHANGED" | "ACKNOWLEDGED" | "CLEARED")[];
  readonly severities?: readonly ("CRITICAL" | "MAJOR" | "MINOR" | "WARNING" | "INDETERMINATE")[] | null;
  readonly alarmTypes?: readonly string[] | null;
  readonly deviceProfileIds?: readonly string[] | null;
  readonly entityIds?: readonly string[] | null;
  readonly target:
    | { readonly type: "EMAIL"; readonly to: readonly string[] }
    | { readonly type: "WEBHOOK"; readonly url: string; readonly secret?: string | null };
  readonly fromEdges?: boolean;
};

export type OtaPackage = {
  readonly id: EntityId;
  readonly createdTime: number;
  readonly tenantId: EntityId;
  readonly deviceProfileId: EntityId | null;
  readonly type: "FIRMWARE" | "SOFTWARE";
  readonly title: string;
  readonly version: string;
  readonly tag: string | null;
  readonly url: string | null;
  readonly hasData: boolean;
  readonly fileName: string | null;
  readonly contentType: string | null;
  readonly checksumAlgorithm: "MD5" | "SHA256" | "SHA384" | "SHA512" | "CRC32" | "MURMUR3_32" | "MURMUR3_128" | null;
  readonly checksum: string | null;
  readonly dataSize: number | null;
  readonly name: string;
  readonly externalId: EntityId | null;
  readonly additionalInfo: { readonly [name: string]: unknown } | null;
  readonly data: string | null;
};

export type OtaPackageInfo = {
  readonly id: EntityId;
  readonly createdTime: number;
  readonly tenantId: EntityId;
  readonly deviceProfileId: EntityId | null;
  readonly type: "FIRMWARE" | "SOFTWARE";
  readonly title: string;
  readonly version: string;
  readonly tag: string | null;
  readonly url: string | null;
  readonly hasData: boolean;
  readonly fileName: string | null;
  readonly contentType: string | null;
  readonly checksumAlgorithm: "MD5" | "SHA256" | "SHA384" | "SHA512" | "CRC32" | "MURMUR3_32" | "MURMUR3_128" | null;
  readonly checksum: string | null;
  readonly dataSize: number | null;
  readonly name: string;
  readonly externalId: EntityId | null;
  readonly additionalInfo: { readonly [name: string]: unknown } | null;
};

export type OtaPackageInput = {
  readonly id?: { readonly id: string } | null;
  readonly deviceProfileId?: { readonly id: string } | null;
  readonly type: "FIRMWARE" | "SOFTWARE";
  readonly title: string;
  readonly version: string;
  readonly tag?: string | null;
  readonly url?: string | null;
  readonly usesUrl?: boolean | null;
  readonly additionalInfo?: { readonly [name: string]: unknown } | null;
};

export type RefusedUplink = {
  readonly edgeId: EntityId;
  readonly lane: "config" | "telemetry";
  readonly seq: number;
  readonly storeId: string;
  readonly code: string;
  readonly reason: string;
  readonly refusedBy: string;
  readonly parkedTime: number;
};

export type Resource = {
  readonly id: EntityId;
  readonly createdTime: number;
  readonly tenantId: EntityId;
  readonly title: string;
  readonly resourceType: "LWM2M_MODEL" | "JKS" | "PKCS_12" | "JS_MODULE" | "IMAGE" | "DASHBOARD" | "GENERAL";
  readonly resourceSubType: "IMAGE" | "SCADA_SYMBOL" | "EXTENSION" | "MODULE" | null;
  readonly resourceKey: string;
  readonly public: boolean;
  readonly publicResourceKey: string | null;
  readonly etag: string | null;
  readonly fileName: string | null;
  readonly descriptor: unknown;
  readonly name: string;
  readonly link: string;
  readonly publicLink: string | null;
  readonly data: string | null;
};

export type ResourceInfo = {
  readonly id: EntityId;
  readonly createdTime: number;
  readonly tenantId: EntityId;
  readonly title: string;
  readonly resourceType: "LWM2M_MODEL" | "JKS" | "PKCS_12" | "JS_MODULE" | "IMAGE" | "DASHBOARD" | "GENERAL";
  readonly resourceSubType: "IMAGE" | "SCADA_SYMBOL" | "EXTENSION" | "MODULE" | null;
  readonly resourceKey: string;
  readonly public: boolean;
  readonly publicResourceKey: string | null;
  readonly etag: string | null;
  readonly fileName: string | null;
  readonly descriptor: unknown;
  readonly name: string;
  readonly link: string;
  readonly publicLink: string | null;
};

export type ResourceInput = {
  readonly id?: { readonly id: string } | null;
  readonly title: string;
  readonly resourceType: "LWM2M_MODEL" | "JKS" | "PKCS_12" | "JS_MODULE" | "IMAGE" | "DASHBOARD" | "GENERAL";
  readonly resourceSubType?: "IMAGE" | "SCADA_SYMBOL" | "EXTENSION" | "MODULE" | null;
  readonly resourceKey?: string | null;
  readonly fileName?: string | null;
  readonly descriptor?: unknown | null;
  readonly data?: string | null;
};

export type Rpc = {
  readonly id: EntityId;
  readonly createdTime: number;
  readonly tenantId: EntityId;
  readonly deviceId: EntityId;
  readonly expirationTime: number;
  readonly request: {
    readonly id: string;
    readonly oneway: boolean;
    readonly expirationTime: number;
    readonly body: { readonly method: string; readonly params: string };
    readonly persisted: boolean;
    readonly retries: number;
  };
  readonly status: "QUEUED" | "SENT" | "DELIVERED" | "SUCCESSFUL" | "TIMEOUT" | "EXPIRED" | "FAILED" | "DELETED";
  readonly additionalInfo: unknown;
  readonly trail: readonly {
    readonly status: "QUEUED" | "SENT" | "DELIVERED" | "SUCCESSFUL" | "TIMEOUT" | "EXPIRED" | "FAILED" | "DELETED";
    readonly attempt: number;
    readonly ts: number;
  }[];
  readonly response: unknown;
};

export type RuleChain = {
  readonly id: EntityId;
  readonly createdTime: number;
  readonly tenantId: EntityId;
  readonly name: string;
  readonly type: "CORE" | "EDGE";
  readonly firstRuleNodeId: EntityId | null;
  readonly root: boolean;
  readonly debugMode: boolean;
  readonly configuration: { readonly [name: string]: unknown } | null;
  readonly additionalInfo: { readonly [name: string]: unknown } | null;
  readonly externalId: EntityId | null;
  readonly version: number;
};

export type RuleChainInput = {
  readonly id?: { readonly id: string } | null;
  readonly name: string;
  readonly type?: "CORE" | "EDGE" | null;
  readonly debugMode?: boolean | null;
  readonly configuration?: { readonly [name: string]: unknown } | null;
  readonly version?: number | null;
  readonly additionalInfo?: { readonly [name: string]: unknown } | null;
};

export type RuleChainMetaData = {
  readonly ruleChainId: EntityId;
  readonly version: number;
  readonly firstNodeIndex: number | null;
  readonly nodes: readonly {
    readonly id: EntityId;
    readonly createdTime: number;
    readonly ruleChainId: EntityId;
    readonly type: string;
    readonly name: string;
    readonly debugSettings: { readonly [name: string]: unknown } | null;
    readonly singletonMode: boolean;
    readonly queueName: string | null;
    readonly configurationVersion: number;
    readonly configuration: { readonly [name: string]: unknown };
    readonly additionalInfo: { readonly [name: string]: unknown } | null;
  }[];
  readonly connections: readonly { readonly fromIndex: number; readonly toIndex: number; readonly type: string }[];
  readonly ruleChainConnections: readonly unknown[];
  readonly notes: readonly { readonly [name: string]: unknown }[];
};

export type RuleChainMetaDataInput = {
  readonly ruleChainId: { readonly id: string };
  readonly version?: number | null;
  readonly firstNodeIndex?: number | null;
  readonly nodes?:
    | readonly {
        readonly id?: { readonly id: string } | null;
        readonly type: string;
        readonly name: string;
        readonly debugSettings?: { readonly [name: string]: unknown } | null;
        readonly singletonMode?: boolean | null;
        readonly queueName?: string | null;
        readonly configurationVersion?: number | null;
        readonly configuration?: { readonly [name: string]: unknown } | null;
        readonly additionalInfo?: { readonly [name: string]: unknown } | null;
      }[]
    | null;
  readonly connections?:
    | readonly { readonly fromIndex: number; readonly toIndex: number; readonly type: string }[]
    | null;
  readonly notes?: readonly { readonly [name: string]: unknown }[] | null;
};

export type RuleChainProblem = {
  readonly ruleChainId: EntityId;
  readonly ruleNodeId: EntityId;
  readonly ruleNodeName: string;
  readonly ruleNodeType: string;
  readonly effect: "unmapped" | "approximated";
  readonly reason: string;
};

export type RuleChainTestInput = {
  readonly deviceId: { readonly id: string };
  readonly startTs: number;
  readonly endTs: number;
};

export type RuleDebugEvent = {
  readonly id: { readonly id: string };
  readonly createdTime: number;
  readonly tenantId: EntityId;
  readonly entityId: EntityId;
  readonly type: "DEBUG_RULE_NODE";
  readonly uid: string;
  readonly body: {
    readonly server: string;
    readonly type: "IN" | "OUT";
    readonly entityId: string | null;
    readonly entityType: string | null;
    readonly msgId: string | null;
    readonly msgType: string | null;
    readonly dataType: "JSON";
    readonly relationType: string | null;
    readonly data: string | null;
    readonly metadata: string | null;
    readonly error: string | null;
  };
};

export type RuleNodeDebugInput = {
  readonly server?: string;
  readonly type?: "IN" | "OUT";
  readonly entityId?: string | null;
  readonly entityType?: string | null;
  readonly msgId?: string | null;
  readonly msgType?: string | null;
  readonly dataType?: "JSON";
  readonly relationType?: string | null;
  readonly data?: string | null;
  readonly metadata?: string | null;
  readonly error?: string | null;
};

export type Tenant = {
  readonly id: EntityId;
  readonly createdTime: number;
  readonly title: string;
  readonly name: string;
  readonly region: string | null;
  readonly tenantProfileId: EntityId;
  readonly country: string | null;
  readonly state: string | null;
  readonly city: string | null;
  readonly address: string | null;
  readonly address2: string | null;
  readonly zip: string | null;
  readonly phone: string | null;
  readonly email: string | null;
  readonly version: number;
  readonly additionalInfo: { readonly [name: string]: unknown } | null;
};

export type TenantInfo = {
  readonly id: EntityId;
  readonly createdTime: number;
  readonly title: string;
  readonly name: string;
  readonly region: string | null;
  readonly tenantProfileId: EntityId;
  readonly country: string | null;
  readonly state: string | null;
  readonly city: string | null;
  readonly address: string | null;
  readonly address2: string | null;
  readonly zip: string | null;
  readonly phone: string | null;
  readonly email: string | null;
  readonly version: number;
  readonly additionalInfo: { readonly [name: string]: unknown } | null;
  readonly tenantProfileName: string;
};

export type TenantInput = {
  readonly id?: { readonly id: string } | null;
  readonly title: string;
  readonly region?: string | null;
  readonly tenantProfileId?: { readonly id: string } | null;
  readonly country?: string | null;
  readonly state?: string | null;
  readonly city?: string | null;
  readonly address?: string | null;
  readonly address2?: string | null;
  readonly zip?: string | null;
  readonly phone?: string | null;
  readonly email?: string | null;
  readonly version?: number | null;
  readonly additionalInfo?: { readonly [name: string]: unknown } | null;
};

export type TenantProfile = {
  readonly id: EntityId;
  readonly createdTime: number;
  readonly name: string;
  readonly description: string | null;
  readonly isolatedTbRuleEngine: boolean;
  readonly default: boolean;
  readonly version: number;
  readonly profileData: { readonly [name: string]: unknown };
};

export type TenantProfileInfo = { readonly id: EntityId; readonly name: string };

export type TenantProfileInput = {
  readonly id?: { readonly id: string } | null;
  readonly name: string;
  readonly description?: string | null;
  readonly profileData?: {
    readonly configuration: {
      readonly maxDevices?: number;
      readonly maxAssets?: number;
      readonly maxCustomers?: number;
      readonly maxUsers?: number;
      readonly maxDashboards?: number;
      readonly maxRuleChains?: number;
      readonly maxEdges?: number;
    };
  } | null;
  readonly version?: number | null;
};

export type TestScriptInput = {
  readonly script: string;
  readonly scriptType: "update" | "filter" | "switch" | "json" | "generate" | "string";
  readonly argNames?: readonly string[] | null;
  readonly msg?: string | null;
  readonly metadata?: { readonly [name: string]: string } | null;
  readonly msgType?: string | null;
};

export type ThinnedKey = {
  readonly key: string;
  readonly came: number;
  readonly sent: number;
  readonly cameBytes: number;
  readonly sentBytes: number;
};

export type TokenPair = { readonly token: string; readonly refreshToken: string; readonly scope: null };

export type User = {
  readonly id: EntityId;
  readonly createdTime: number;
  readonly tenantId: EntityId;
  readonly customerId: EntityId;
  readonly email: string;
  readonly name: string;
  readonly authority: "SYS_ADMIN" | "TENANT_ADMIN" | "CUSTOMER_USER";
  readonly firstName: string | null;
  readonly lastName: string | null;
  readonly phone: string | null;
  readonly version: number;
  readonly additionalInfo: { readonly [name: string]: unknown };
};

export type UserInfo = {
  readonly id: EntityId;
  readonly email: string;
  readonly firstName: string | null;
  readonly lastName: string | null;
};

export type UserInput = {
  readonly id?: { readonly id: string } | null;
  readonly tenantId?: { readonly id: string } | null;
  readonly customerId?: { readonly id: string } | null;
  readonly email: string;
  readonly authority?: "SYS_ADMIN" | "TENANT_ADMIN" | "CUSTOMER_USER" | null;
  readonly firstName?: string | null;
  readonly lastName?: string | null;
  readonly phone?: string | null;
  readonly version?: number | null;
  readonly additionalInfo?: { readonly [name: string]: unknown } | null;
};

export type UserPasswordPolicy = {
  readonly minimumLength: number;
  readonly maximumLength: number | null;
  readonly minimumUppercaseLetters: number | null;
  readonly minimumLowercaseLetters: number | null;
  readonly minimumDigits: number | null;
  readonly minimumSpecialCharacters: number | null;
  readonly allowWhitespaces: boolean;
  readonly forceUserToResetPasswordIfNotValid: boolean;
  readonly passwordExpirationPeriodDays: number | null;
  readonly passwordReuseFrequencyDays: number | null;
};

/** What goes to each operation and what comes back. */

export interface Operations {
  "DELETE /api/alarm/{alarmId}": { readonly path: { readonly alarmId: string }; readonly answer: boolean };
  "DELETE /api/alarm/{alarmId}/assign": { readonly path: { readonly alarmId: string }; readonly answer: Alarm };
  "DELETE /api/alarm/{alarmId}/comment/{commentId}": {
    readonly path: { readonly alarmId: string; readonly commentId: string };
    readonly answer: void;
  };
  "DELETE /api/apiKey/{apiKeyId}": { readonly path: { readonly apiKeyId: string }; readonly answer: void };
  "DELETE /api/asset/{assetId}": { readonly path: { readonly assetId: string }; readonly answer: void };
  "DELETE /api/assetProfile/{assetProfileId}": {
    readonly path: { readonly assetProfileId: string };
    readonly answer: void;
  };
  "DELETE /api/customer/asset/{assetId}": { readonly path: { readonly assetId: string }; readonly answer: Asset };
  "DELETE /api/customer/device/{deviceId}": { readonly path: { readonly deviceId: string }; readonly answer: Device };
  "DELETE /api/customer/device/{deviceName}/claim": {
    readonly path: { readonly deviceName: string };
    readonly answer: void;
  };
  "DELETE /api/customer/edge/{edgeId}": { readonly path: { readonly edgeId: string }; readonly answer: Edge };
  "DELETE /api/customer/entityView/{entityViewId}": {
    readonly path: { readonly entityViewId: string };
    readonly answer: EntityView;
  };
  "DELETE /api/customer/public/dashboard/{dashboardId}": {
    readonly path: { readonly dashboardId: string };
    readonly answer: Dashboard;
  };
  "DELETE /api/customer/{customerId}": { readonly path: { readonly customerId: string }; readonly answer: void };
  "DELETE /api/customer/{customerId}/dashboard/{dashboardId}": {
    readonly path: { readonly customerId: string; readonly dashboardId: string };
    readonly answer: Dashboard;
  };
  "DELETE /api/dashboard/{dashboardId}": { readonly path: { readonly dashboardId: string }; readonly answer: void };
  "DELETE /api/device/{deviceId}": { readonly path: { readonly deviceId: string }; readonly answer: void };
  "DELETE /api/deviceProfile/{deviceProfileId}": {
    readonly path: { readonly deviceProfileId: string };
    readonly answer: void;
  };
  "DELETE /api/edge/{edgeId}": { readonly path: { readonly edgeId: string }; readonly answer: void };
  "DELETE /api/edge/{edgeId}/asset/{assetId}": {
    readonly path: { readonly edgeId: string; readonly assetId: string };
    readonly answer: Asset;
  };
  "DELETE /api/edge/{edgeId}/conflicts/{conflictId}": {
    readonly path: { readonly edgeId: string; readonly conflictId: string };
    readonly answer: void;
  };
  "DELETE /api/edge/{edgeId}/dashboard/{dashboardId}": {
    readonly path: { readonly edgeId: string; readonly dashboardId: string };
    readonly answer: Dashboard;
  };
  "DELETE /api/edge/{edgeId}/device/{deviceId}": {
    readonly path: { readonly edgeId: string; readonly deviceId: string };
    readonly answer: Device;
  };
  "DELETE /api/edge/{edgeId}/entityView/{entityViewId}": {
    readonly path: { readonly edgeId: string; readonly entityViewId: string };
    readonly answer: EntityView;
  };
  "DELETE /api/edge/{edgeId}/events/{event}": {
    readonly path: { readonly edgeId: string; readonly event: string };
    readonly answer: void;
  };
  "DELETE /api/edge/{edgeId}/ruleChain/{ruleChainId}": {
    readonly path: { readonly edgeId: string; readonly ruleChainId: string };
    readonly answer: RuleChain;
  };
  "DELETE /api/entityView/{entityViewId}": { readonly path: { readonly entityViewId: string }; readonly answer: void };
  "DELETE /api/notification/rule/{notificationRuleId}": {
    readonly path: { readonly notificationRuleId: string };
    readonly answer: void;
  };
  "DELETE /api/otaPackage/{otaPackageId}": { readonly path: { readonly otaPackageId: string }; readonly answer: void };
  "DELETE /api/plugins/telemetry/{entityId}/{scope}": {
    readonly path: { readonly entityId: string; readonly scope: string };
    readonly query?: {
      readonly keys?: string | number | boolean | undefined;
      readonly key?: string | number | boolean | undefined;
    };
    readonly answer: void;
  };
  "DELETE /api/plugins/telemetry/{entityType}/{entityId}/timeseries/delete": {
    readonly path: { readonly entityType: string; readonly entityId: string };
    readonly query?: {
      readonly keys?: string | number | boolean | undefined;
      readonly key?: string | number | boolean | undefined;
      readonly deleteAllDataForKeys?: "true" | "false" | undefined;
      readonly startTs?: string | number | boolean | undefined;
      readonly endTs?: string | number | boolean | undefined;
      readonly deleteLatest?: "true" | "false" | undefined;
      readonly rewriteLatestIfDeleted?: "true" | "false" | undefined;
    };
    readonly answer: void;
  };
  "DELETE /api/plugins/telemetry/{entityType}/{entityId}/{scope}": {
    readonly path: { readonly entityType: string; readonly entityId: string; readonly scope: string };
    readonly query?: {
      readonly keys?: string | number | boolean | undefined;
      readonly key?: string | number | boolean | undefined;
    };
    readonly answer: void;
  };
  "DELETE /api/relation": {
    readonly query: {
      readonly fromId: string | number | boolean;
      readonly fromType: string | number | boolean;
      readonly relationType: string | number | boolean;
      readonly relationTypeGroup?: string | number | boolean | undefined;
      readonly toId: string | number | boolean;
      readonly toType: string | number | boolean;
    };
    readonly answer: void;
  };
  "DELETE /api/relations": {
    readonly query: { readonly entityId: string | number | boolean; readonly entityType: string | number | boolean };
    readonly answer: void;
  };
  "DELETE /api/resource/{resourceId}": {
    readonly path: { readonly resourceId: string };
    readonly query?: { readonly force?: "true" | "false" | undefined };
    readonly answer: {
      readonly success: boolean;
      readonly references: {
        readonly [name: string]: readonly { readonly id: EntityId; readonly name: string }[];
      } | null;
    };
  };
  "DELETE /api/rpc/persistent/{rpcId}": { readonly path: { readonly rpcId: string }; readonly answer: void };
  "DELETE /api/ruleChain/{ruleChainId}": { readonly path: { readonly ruleChainId: string }; readonly answer: void };
  "DELETE /api/ruleChain/{ruleChainId}/autoAssignToEdge": {
    readonly path: { readonly ruleChainId: string };
    readonly answer: RuleChain;
  };
  "DELETE /api/tenant/{tenantId}": { readonly path: { readonly tenantId: string }; readonly answer: void };
  "DELETE /api/tenantProfile/{tenantProfileId}": {
    readonly path: { readonly tenantProfileId: string };
    readonly answer: void;
  };
  "DELETE /api/user/mobile/session": { readonly answer: void };
  "DELETE /api/user/settings/{paths}": { readonly path: { readonly paths: string }; readonly answer: void };
  "DELETE /api/user/{userId}": { readonly path: { readonly userId: string }; readonly answer: void };
  "DELETE /api/v2/relation": {
    readonly query: {
      readonly fromId: string | number | boolean;
      readonly fromType: string | number | boolean;
      readonly relationType: string | number | boolean;
      readonly relationTypeGroup?: string | number | boolean | undefined;
      readonly toId: string | number | boolean;
      readonly toType: string | number | boolean;
    };
    readonly answer: EntityRelation;
  };
  "GET /api/alarm/highestSeverity/{entityType}/{entityId}": {
    readonly path: { readonly entityType: string; readonly entityId: string };
    readonly query?: {
      readonly searchStatus?: "ANY" | "ACTIVE" | "CLEARED" | "ACK" | "UNACK" | undefined;
      readonly status?: "ACTIVE_UNACK" | "ACTIVE_ACK" | "CLEARED_UNACK" | "CLEARED_ACK" | undefined;
      readonly assigneeId?: string | number | boolean | undefined;
    };
    readonly answer: "CRITICAL" | "MAJOR" | "MINOR" | "WARNING" | "INDETERMINATE";
  };
  "GET /api/alarm/info/{alarmId}": { readonly path: { readonly alarmId: string }; readonly answer: AlarmInfo };
  "GET /api/alarm/types": {
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly { readonly tenantId: EntityId; readonly entityType: string; readonly type: string }[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/alarm/{alarmId}": { readonly path: { readonly alarmId: string }; readonly answer: Alarm };
  "GET /api/alarm/{alarmId}/comment": {
    readonly path: { readonly alarmId: string };
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly AlarmCommentInfo[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/alarm/{entityType}/{entityId}": {
    readonly path: { readonly entityType: string; readonly entityId: string };
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly startTime?: string | number | boolean | undefined;
      readonly endTime?: string | number | boolean | undefined;
      readonly searchStatus?: "ANY" | "ACTIVE" | "CLEARED" | "ACK" | "UNACK" | undefined;
      readonly status?: "ACTIVE_UNACK" | "ACTIVE_ACK" | "CLEARED_UNACK" | "CLEARED_ACK" | undefined;
      readonly assigneeId?: string | number | boolean | undefined;
      readonly fetchOriginator?: "true" | "false" | undefined;
    };
    readonly answer: {
      readonly data: readonly AlarmInfo[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/alarms": {
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly startTime?: string | number | boolean | undefined;
      readonly endTime?: string | number | boolean | undefined;
      readonly searchStatus?: "ANY" | "ACTIVE" | "CLEARED" | "ACK" | "UNACK" | undefined;
      readonly status?: "ACTIVE_UNACK" | "ACTIVE_ACK" | "CLEARED_UNACK" | "CLEARED_ACK" | undefined;
      readonly assigneeId?: string | number | boolean | undefined;
      readonly fetchOriginator?: "true" | "false" | undefined;
    };
    readonly answer: {
      readonly data: readonly AlarmInfo[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/apiKeys/{userId}": {
    readonly path: { readonly userId: string };
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly ApiKey[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/asset/info/{assetId}": { readonly path: { readonly assetId: string }; readonly answer: AssetInfo };
  "GET /api/asset/types": { readonly answer: readonly EntitySubtype[] };
  "GET /api/asset/{assetId}": { readonly path: { readonly assetId: string }; readonly answer: Asset };
  "GET /api/assetProfile/assets/keys/attributes": {
    readonly query?: { readonly assetProfileId?: string | number | boolean | undefined };
    readonly answer: readonly string[];
  };
  "GET /api/assetProfile/assets/keys/timeseries": {
    readonly query?: { readonly assetProfileId?: string | number | boolean | undefined };
    readonly answer: readonly string[];
  };
  "GET /api/assetProfile/names": {
    readonly query?: { readonly activeOnly?: "true" | "false" | undefined };
    readonly answer: readonly EntityName[];
  };
  "GET /api/assetProfile/{assetProfileId}": {
    readonly path: { readonly assetProfileId: string };
    readonly query?: { readonly inlineImages?: "true" | "false" | undefined };
    readonly answer: AssetProfile;
  };
  "GET /api/assetProfileInfo/default": { readonly answer: AssetProfileInfo };
  "GET /api/assetProfileInfo/{profileId}": {
    readonly path: { readonly profileId: string };
    readonly answer: AssetProfileInfo;
  };
  "GET /api/assetProfileInfos": {
    readonly query?: {
      readonly pageSize?: string | number | boolean | undefined;
      readonly page?: string | number | boolean | undefined;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly assetProfileIds?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly AssetProfileInfo[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/assetProfileInfos/list": {
    readonly query: { readonly assetProfileIds: string | number | boolean };
    readonly answer: readonly AssetProfileInfo[];
  };
  "GET /api/assetProfiles": {
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly AssetProfile[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/assets": {
    readonly query: { readonly assetIds: string | number | boolean };
    readonly answer: readonly Asset[];
  };
  "GET /api/audit/logs": {
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly startTime?: string | number | boolean | undefined;
      readonly endTime?: string | number | boolean | undefined;
      readonly actionTypes?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly AuditLog[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/audit/logs/customer/{customerId}": {
    readonly path: { readonly customerId: string };
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly startTime?: string | number | boolean | undefined;
      readonly endTime?: string | number | boolean | undefined;
      readonly actionTypes?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly AuditLog[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/audit/logs/entity/{entityType}/{entityId}": {
    readonly path: { readonly entityType: string; readonly entityId: string };
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly startTime?: string | number | boolean | undefined;
      readonly endTime?: string | number | boolean | undefined;
      readonly actionTypes?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly AuditLog[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/audit/logs/user/{userId}": {
    readonly path: { readonly userId: string };
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly startTime?: string | number | boolean | undefined;
      readonly endTime?: string | number | boolean | undefined;
      readonly actionTypes?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly AuditLog[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/auth/user": { readonly answer: User };
  "GET /api/customer/{customerId}": { readonly path: { readonly customerId: string }; readonly answer: Customer };
  "GET /api/customer/{customerId}/assetInfos": {
    readonly path: { readonly customerId: string };
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly type?: string | number | boolean | undefined;
      readonly assetProfileId?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly AssetInfo[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/customer/{customerId}/assets": {
    readonly path: { readonly customerId: string };
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly type?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly Asset[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/customer/{customerId}/dashboards": {
    readonly path: { readonly customerId: string };
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly mobile?: "true" | "false" | undefined;
    };
    readonly answer: {
      readonly data: readonly DashboardInfo[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/customer/{customerId}/deviceInfos": {
    readonly path: { readonly customerId: string };
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly type?: string | number | boolean | undefined;
      readonly deviceProfileId?: string | number | boolean | undefined;
      readonly active?: "true" | "false" | undefined;
    };
    readonly answer: {
      readonly data: readonly DeviceInfo[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/customer/{customerId}/devices": {
    readonly path: { readonly customerId: string };
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly type?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly Device[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/customer/{customerId}/edgeInfos": {
    readonly path: { readonly customerId: string };
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly type?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly EdgeInfo[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/customer/{customerId}/edges": {
    readonly path: { readonly customerId: string };
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly type?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly EdgeWithStatus[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/customer/{customerId}/entityViewInfos": {
    readonly path: { readonly customerId: string };
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly type?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly EntityViewInfo[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/customer/{customerId}/entityViews": {
    readonly path: { readonly customerId: string };
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly type?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly EntityView[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/customer/{customerId}/shortInfo": {
    readonly path: { readonly customerId: string };
    readonly answer: { readonly title: string; readonly isPublic: boolean };
  };
  "GET /api/customer/{customerId}/title": { readonly path: { readonly customerId: string }; readonly answer: string };
  "GET /api/customer/{customerId}/users": {
    readonly path: { readonly customerId: string };
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly User[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/customers": {
    readonly query?: {
      readonly pageSize?: string | number | boolean | undefined;
      readonly page?: string | number | boolean | undefined;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly customerIds?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly Customer[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/customers/list": {
    readonly query: { readonly customerIds: string | number | boolean };
    readonly answer: readonly Customer[];
  };
  "GET /api/dashboard/home": { readonly answer: HomeDashboard };
  "GET /api/dashboard/home/info": { readonly answer: HomeDashboardInfo };
  "GET /api/dashboard/info/{dashboardId}": {
    readonly path: { readonly dashboardId: string };
    readonly answer: DashboardInfo;
  };
  "GET /api/dashboard/maxDatapointsLimit": { readonly answer: number };
  "GET /api/dashboard/serverTime": { readonly answer: number };
  "GET /api/dashboard/{dashboardId}": {
    readonly path: { readonly dashboardId: string };
    readonly query?: {
      readonly inlineImages?: "true" | "false" | undefined;
      readonly includeResources?: "true" | "false" | undefined;
    };
    readonly answer: Dashboard;
  };
  "GET /api/dashboards": {
    readonly query: { readonly dashboardIds: string | number | boolean };
    readonly answer: readonly DashboardInfo[];
  };
  "GET /api/dashboards/list": {
    readonly query: { readonly dashboardIds: string | number | boolean };
    readonly answer: readonly DashboardInfo[];
  };
  "GET /api/device-connectivity/{deviceId}": {
    readonly path: { readonly deviceId: string };
    readonly answer: DeviceConnectivity;
  };
  "GET /api/device/info/{deviceId}": { readonly path: { readonly deviceId: string }; readonly answer: DeviceInfo };
  "GET /api/device/types": { readonly answer: readonly EntitySubtype[] };
  "GET /api/device/{deviceId}": { readonly path: { readonly deviceId: string }; readonly answer: Device };
  "GET /api/device/{deviceId}/credentials": {
    readonly path: { readonly deviceId: string };
    readonly answer: DeviceCredentials;
  };
  "GET /api/device/{deviceId}/gaps": {
    readonly path: { readonly deviceId: string };
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly EdgeTelemetryGap[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/deviceProfile/devices/keys/attributes": {
    readonly query?: { readonly deviceProfileId?: string | number | boolean | undefined };
    readonly answer: readonly string[];
  };
  "GET /api/deviceProfile/devices/keys/timeseries": {
    readonly query?: { readonly deviceProfileId?: string | number | boolean | undefined };
    readonly answer: readonly string[];
  };
  "GET /api/deviceProfile/names": {
    readonly query?: { readonly activeOnly?: "true" | "false" | undefined };
    readonly answer: readonly EntityName[];
  };
  "GET /api/deviceProfile/{deviceProfileId}": {
    readonly path: { readonly deviceProfileId: string };
    readonly query?: { readonly inlineImages?: "true" | "false" | undefined };
    readonly answer: DeviceProfile;
  };
  "GET /api/deviceProfileInfo/default": { readonly answer: DeviceProfileInfo };
  "GET /api/deviceProfileInfo/{profileId}": {
    readonly path: { readonly profileId: string };
    readonly answer: DeviceProfileInfo;
  };
  "GET /api/deviceProfileInfos": {
    readonly query?: {
      readonly pageSize?: string | number | boolean | undefined;
      readonly page?: string | number | boolean | undefined;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly transportType?: string | number | boolean | undefined;
      readonly deviceProfileIds?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly DeviceProfileInfo[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/deviceProfileInfos/list": {
    readonly query: { readonly deviceProfileIds: string | number | boolean };
    readonly answer: readonly DeviceProfileInfo[];
  };
  "GET /api/deviceProfiles": {
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly DeviceProfile[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/devices": {
    readonly query: { readonly deviceIds: string | number | boolean };
    readonly answer: readonly Device[];
  };
  "GET /api/devices/count/{type}/{deviceProfileId}": {
    readonly path: { readonly type: string; readonly deviceProfileId: string };
    readonly answer: number;
  };
  "GET /api/edge/info/{edgeId}": { readonly path: { readonly edgeId: string }; readonly answer: EdgeInfo };
  "GET /api/edge/instructions/install/{edgeId}/{method}": {
    readonly path: { readonly edgeId: string; readonly method: string };
    readonly answer: EdgeInstructions;
  };
  "GET /api/edge/instructions/upgrade/{edgeVersion}/{method}": {
    readonly path: { readonly edgeVersion: string; readonly method: string };
    readonly answer: EdgeInstructions;
  };
  "GET /api/edge/missingToRelatedRuleChains/{edgeId}": {
    readonly path: { readonly edgeId: string };
    readonly answer: { readonly [name: string]: readonly string[] };
  };
  "GET /api/edge/types": { readonly answer: readonly EntitySubtype[] };
  "GET /api/edge/{edgeId}": { readonly path: { readonly edgeId: string }; readonly answer: EdgeWithStatus };
  "GET /api/edge/{edgeId}/assets": {
    readonly path: { readonly edgeId: string };
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly startTime?: string | number | boolean | undefined;
      readonly endTime?: string | number | boolean | undefined;
      readonly type?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly Asset[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/edge/{edgeId}/backfill": {
    readonly path: { readonly edgeId: string };
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly Backfill[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/edge/{edgeId}/backfill/{backfillId}": {
    readonly path: { readonly edgeId: string; readonly backfillId: string };
    readonly answer: Backfill;
  };
  "GET /api/edge/{edgeId}/conflicts": {
    readonly path: { readonly edgeId: string };
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly EdgeConflict[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/edge/{edgeId}/dashboards": {
    readonly path: { readonly edgeId: string };
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly startTime?: string | number | boolean | undefined;
      readonly endTime?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly DashboardInfo[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/edge/{edgeId}/devices": {
    readonly path: { readonly edgeId: string };
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly startTime?: string | number | boolean | undefined;
      readonly endTime?: string | number | boolean | undefined;
      readonly type?: string | number | boolean | undefined;
      readonly deviceProfileId?: string | number | boolean | undefined;
      readonly active?: "true" | "false" | undefined;
    };
    readonly answer: {
      readonly data: readonly DeviceInfo[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/edge/{edgeId}/entityViews": {
    readonly path: { readonly edgeId: string };
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly startTime?: string | number | boolean | undefined;
      readonly endTime?: string | number | boolean | undefined;
      readonly type?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly EntityView[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/edge/{edgeId}/events": {
    readonly path: { readonly edgeId: string };
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly startTime?: string | number | boolean | undefined;
      readonly endTime?: string | number | boolean | undefined;
      readonly state?: "queued" | "sent" | "applied" | "failed" | "replayed" | "discarded" | undefined;
    };
    readonly answer: {
      readonly data: readonly EdgeEvent[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/edge/{edgeId}/gaps": {
    readonly path: { readonly edgeId: string };
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly EdgeTelemetryGap[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/edge/{edgeId}/parked": {
    readonly path: { readonly edgeId: string };
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly lane?: "config" | "telemetry" | undefined;
      readonly code?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly RefusedUplink[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/edge/{edgeId}/rights": { readonly path: { readonly edgeId: string }; readonly answer: EdgeRights };
  "GET /api/edge/{edgeId}/ruleChains": {
    readonly path: { readonly edgeId: string };
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly startTime?: string | number | boolean | undefined;
      readonly endTime?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly RuleChain[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/edge/{edgeId}/sync": { readonly path: { readonly edgeId: string }; readonly answer: EdgeSyncRounds };
  "GET /api/edge/{edgeId}/upgrade/available": { readonly path: { readonly edgeId: string }; readonly answer: boolean };
  "GET /api/edges": {
    readonly query?: {
      readonly pageSize?: string | number | boolean | undefined;
      readonly page?: string | number | boolean | undefined;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly type?: string | number | boolean | undefined;
      readonly presence?: string | number | boolean | undefined;
      readonly edgeIds?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly EdgeWithStatus[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/edges/enabled": { readonly answer: boolean };
  "GET /api/edges/fleet": { readonly answer: EdgeFleet };
  "GET /api/edges/list": {
    readonly query: { readonly edgeIds: string | number | boolean };
    readonly answer: readonly EdgeWithStatus[];
  };
  "GET /api/entityView/info/{entityViewId}": {
    readonly path: { readonly entityViewId: string };
    readonly answer: EntityViewInfo;
  };
  "GET /api/entityView/types": { readonly answer: readonly EntitySubtype[] };
  "GET /api/entityView/{entityViewId}": {
    readonly path: { readonly entityViewId: string };
    readonly answer: EntityView;
  };
  "GET /api/entityViews": {
    readonly query: { readonly entityViewIds: string | number | boolean };
    readonly answer: readonly EntityView[];
  };
  "GET /api/entityViews/list": {
    readonly query: { readonly entityViewIds: string | number | boolean };
    readonly answer: readonly EntityView[];
  };
  "GET /api/events/{entityType}/{entityId}/{eventType}": {
    readonly path: { readonly entityType: string; readonly entityId: string; readonly eventType: string };
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly startTime?: string | number | boolean | undefined;
      readonly endTime?: string | number | boolean | undefined;
      readonly tenantId?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly (LifecycleEvent | RuleDebugEvent)[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/images/{scope}/{key}": {
    readonly path: { readonly scope: string; readonly key: string };
    readonly answer: string;
  };
  "GET /api/noauth/activate": {
    readonly query?: { readonly activateToken?: string | number | boolean | undefined };
    readonly answer: void;
  };
  "GET /api/noauth/resetPassword": {
    readonly query?: { readonly resetToken?: string | number | boolean | undefined };
    readonly answer: void;
  };
  "GET /api/noauth/userPasswordPolicy": { readonly answer: UserPasswordPolicy };
  "GET /api/notification/deliveries": {
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly state?: "QUEUED" | "SENT" | "FAILED" | "LEFT_TO_EDGE" | undefined;
    };
    readonly answer: {
      readonly data: readonly NotificationDelivery[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/notification/rule/{notificationRuleId}": {
    readonly path: { readonly notificationRuleId: string };
    readonly answer: NotificationRule;
  };
  "GET /api/notification/rules": {
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly NotificationRule[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/otaPackage/info/{otaPackageId}": {
    readonly path: { readonly otaPackageId: string };
    readonly answer: OtaPackageInfo;
  };
  "GET /api/otaPackage/{otaPackageId}": {
    readonly path: { readonly otaPackageId: string };
    readonly answer: OtaPackage;
  };
  "GET /api/otaPackage/{otaPackageId}/download": {
    readonly path: { readonly otaPackageId: string };
    readonly answer: string;
  };
  "GET /api/otaPackages": {
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly OtaPackageInfo[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/otaPackages/{deviceProfileId}/{type}": {
    readonly path: { readonly deviceProfileId: string; readonly type: string };
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly OtaPackageInfo[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/plugins/telemetry/{entityType}/{entityId}/keys/attributes": {
    readonly path: { readonly entityType: string; readonly entityId: string };
    readonly answer: readonly string[];
  };
  "GET /api/plugins/telemetry/{entityType}/{entityId}/keys/attributes/{scope}": {
    readonly path: { readonly entityType: string; readonly entityId: string; readonly scope: string };
    readonly answer: readonly string[];
  };
  "GET /api/plugins/telemetry/{entityType}/{entityId}/keys/timeseries": {
    readonly path: { readonly entityType: string; readonly entityId: string };
    readonly answer: readonly string[];
  };
  "GET /api/plugins/telemetry/{entityType}/{entityId}/values/attributes": {
    readonly path: { readonly entityType: string; readonly entityId: string };
    readonly query?: {
      readonly keys?: string | number | boolean | undefined;
      readonly key?: string | number | boolean | undefined;
    };
    readonly answer: readonly { readonly lastUpdateTs: number; readonly key: string; readonly value: unknown }[];
  };
  "GET /api/plugins/telemetry/{entityType}/{entityId}/values/attributes/{scope}": {
    readonly path: { readonly entityType: string; readonly entityId: string; readonly scope: string };
    readonly query?: {
      readonly keys?: string | number | boolean | undefined;
      readonly key?: string | number | boolean | undefined;
    };
    readonly answer: readonly { readonly lastUpdateTs: number; readonly key: string; readonly value: unknown }[];
  };
  "GET /api/plugins/telemetry/{entityType}/{entityId}/values/timeseries": {
    readonly path: { readonly entityType: string; readonly entityId: string };
    readonly query?: {
      readonly keys?: string | number | boolean | undefined;
      readonly key?: string | number | boolean | undefined;
      readonly useStrictDataTypes?: string | number | boolean | undefined;
      readonly startTs?: string | number | boolean | undefined;
      readonly endTs?: string | number | boolean | undefined;
      readonly intervalType?: "MILLISECONDS" | "WEEK" | "WEEK_ISO" | "MONTH" | "QUARTER" | undefined;
      readonly interval?: string | number | boolean | undefined;
      readonly timeZone?: string | number | boolean | undefined;
      readonly limit?: string | number | boolean | undefined;
      readonly agg?: "NONE" | "MIN" | "MAX" | "AVG" | "SUM" | "COUNT" | undefined;
      readonly orderBy?: "ASC" | "DESC" | undefined;
    };
    readonly answer: { readonly [name: string]: readonly { readonly ts: number; readonly value: unknown }[] };
  };
  "GET /api/plugins/telemetry/{entityType}/{entityId}/values/timeseries/history": {
    readonly path: { readonly entityType: string; readonly entityId: string };
    readonly query: {
      readonly keys?: string | number | boolean | undefined;
      readonly key?: string | number | boolean | undefined;
      readonly useStrictDataTypes?: string | number | boolean | undefined;
      readonly startTs: string | number | boolean;
      readonly endTs: string | number | boolean;
      readonly intervalType?: "MILLISECONDS" | "WEEK" | "WEEK_ISO" | "MONTH" | "QUARTER" | undefined;
      readonly interval?: string | number | boolean | undefined;
      readonly timeZone?: string | number | boolean | undefined;
      readonly limit?: string | number | boolean | undefined;
      readonly agg?: "NONE" | "MIN" | "MAX" | "AVG" | "SUM" | "COUNT" | undefined;
      readonly orderBy?: "ASC" | "DESC" | undefined;
    };
    readonly answer: { readonly [name: string]: readonly { readonly ts: number; readonly value: unknown }[] };
  };
  "GET /api/relation": {
    readonly query: {
      readonly fromId: string | number | boolean;
      readonly fromType: string | number | boolean;
      readonly relationType: string | number | boolean;
      readonly relationTypeGroup?: string | number | boolean | undefined;
      readonly toId: string | number | boolean;
      readonly toType: string | number | boolean;
    };
    readonly answer: EntityRelation;
  };
  "GET /api/relations": {
    readonly query?: {
      readonly fromId?: string | number | boolean | undefined;
      readonly fromType?: string | number | boolean | undefined;
      readonly toId?: string | number | boolean | undefined;
      readonly toType?: string | number | boolean | undefined;
      readonly relationType?: string | number | boolean | undefined;
      readonly relationTypeGroup?: string | number | boolean | undefined;
    };
    readonly answer: readonly EntityRelation[];
  };
  "GET /api/relations/from/{entityType}/{entityId}": {
    readonly path: { readonly entityType: string; readonly entityId: string };
    readonly query?: {
      readonly relationType?: string | number | boolean | undefined;
      readonly relationTypeGroup?: string | number | boolean | undefined;
    };
    readonly answer: readonly EntityRelation[];
  };
  "GET /api/relations/from/{entityType}/{entityId}/{relationType}": {
    readonly path: { readonly entityType: string; readonly entityId: string; readonly relationType: string };
    readonly query?: {
      readonly relationType?: string | number | boolean | undefined;
      readonly relationTypeGroup?: string | number | boolean | undefined;
    };
    readonly answer: readonly EntityRelation[];
  };
  "GET /api/relations/info": {
    readonly query?: {
      readonly fromId?: string | number | boolean | undefined;
      readonly fromType?: string | number | boolean | undefined;
      readonly toId?: string | number | boolean | undefined;
      readonly toType?: string | number | boolean | undefined;
      readonly relationType?: string | number | boolean | undefined;
      readonly relationTypeGroup?: string | number | boolean | undefined;
    };
    readonly answer: readonly EntityRelationInfo[];
  };
  "GET /api/relations/info/from/{entityType}/{entityId}": {
    readonly path: { readonly entityType: string; readonly entityId: string };
    readonly query?: {
      readonly relationType?: string | number | boolean | undefined;
      readonly relationTypeGroup?: string | number | boolean | undefined;
    };
    readonly answer: readonly EntityRelationInfo[];
  };
  "GET /api/relations/info/from/{entityType}/{entityId}/{relationType}": {
    readonly path: { readonly entityType: string; readonly entityId: string; readonly relationType: string };
    readonly query?: {
      readonly relationType?: string | number | boolean | undefined;
      readonly relationTypeGroup?: string | number | boolean | undefined;
    };
    readonly answer: readonly EntityRelationInfo[];
  };
  "GET /api/relations/info/to/{entityType}/{entityId}": {
    readonly path: { readonly entityType: string; readonly entityId: string };
    readonly query?: {
      readonly relationType?: string | number | boolean | undefined;
      readonly relationTypeGroup?: string | number | boolean | undefined;
    };
    readonly answer: readonly EntityRelationInfo[];
  };
  "GET /api/relations/info/to/{entityType}/{entityId}/{relationType}": {
    readonly path: { readonly entityType: string; readonly entityId: string; readonly relationType: string };
    readonly query?: {
      readonly relationType?: string | number | boolean | undefined;
      readonly relationTypeGroup?: string | number | boolean | undefined;
    };
    readonly answer: readonly EntityRelationInfo[];
  };
  "GET /api/relations/to/{entityType}/{entityId}": {
    readonly path: { readonly entityType: string; readonly entityId: string };
    readonly query?: {
      readonly relationType?: string | number | boolean | undefined;
      readonly relationTypeGroup?: string | number | boolean | undefined;
    };
    readonly answer: readonly EntityRelation[];
  };
  "GET /api/relations/to/{entityType}/{entityId}/{relationType}": {
    readonly path: { readonly entityType: string; readonly entityId: string; readonly relationType: string };
    readonly query?: {
      readonly relationType?: string | number | boolean | undefined;
      readonly relationTypeGroup?: string | number | boolean | undefined;
    };
    readonly answer: readonly EntityRelation[];
  };
  "GET /api/resource": {
    readonly query?: {
      readonly pageSize?: string | number | boolean | undefined;
      readonly page?: string | number | boolean | undefined;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly resourceType?: string | number | boolean | undefined;
      readonly resourceSubType?: string | number | boolean | undefined;
      readonly resourceIds?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly ResourceInfo[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/resource/info/{resourceId}": {
    readonly path: { readonly resourceId: string };
    readonly answer: ResourceInfo;
  };
  "GET /api/resource/list": {
    readonly query: { readonly resourceIds: string | number | boolean };
    readonly answer: readonly ResourceInfo[];
  };
  "GET /api/resource/tenant": {
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly resourceType?:
        | "LWM2M_MODEL"
        | "JKS"
        | "PKCS_12"
        | "JS_MODULE"
        | "IMAGE"
        | "DASHBOARD"
        | "GENERAL"
        | undefined;
      readonly resourceSubType?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly ResourceInfo[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/resource/{resourceId}": { readonly path: { readonly resourceId: string }; readonly answer: Resource };
  "GET /api/resource/{resourceId}/download": {
    readonly path: { readonly resourceId: string };
    readonly answer: string;
  };
  "GET /api/resource/{type}/{scope}/{key}": {
    readonly path: { readonly type: string; readonly scope: string; readonly key: string };
    readonly answer: string;
  };
  "GET /api/rpc/persistent/device/{deviceId}": {
    readonly path: { readonly deviceId: string };
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly rpcStatus?:
        | "QUEUED"
        | "SENT"
        | "DELIVERED"
        | "SUCCESSFUL"
        | "TIMEOUT"
        | "EXPIRED"
        | "FAILED"
        | "DELETED"
        | undefined;
    };
    readonly answer: {
      readonly data: readonly Rpc[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/rpc/persistent/{rpcId}": { readonly path: { readonly rpcId: string }; readonly answer: Rpc };
  "GET /api/ruleChain/autoAssignToEdgeRuleChains": { readonly answer: readonly RuleChain[] };
  "GET /api/ruleChain/tbelEnabled": { readonly answer: boolean };
  "GET /api/ruleChain/{ruleChainId}": { readonly path: { readonly ruleChainId: string }; readonly answer: RuleChain };
  "GET /api/ruleChain/{ruleChainId}/metadata": {
    readonly path: { readonly ruleChainId: string };
    readonly answer: RuleChainMetaData;
  };
  "GET /api/ruleChain/{ruleChainId}/output/labels": {
    readonly path: { readonly ruleChainId: string };
    readonly answer: readonly string[];
  };
  "GET /api/ruleChain/{ruleChainId}/output/labels/usage": {
    readonly path: { readonly ruleChainId: string };
    readonly answer: readonly {
      readonly ruleChainId: EntityId;
      readonly ruleNodeId: EntityId;
      readonly ruleChainName: string;
      readonly ruleNodeName: string;
      readonly labels: readonly string[];
    }[];
  };
  "GET /api/ruleChain/{ruleChainId}/problems": {
    readonly path: { readonly ruleChainId: string };
    readonly answer: readonly RuleChainProblem[];
  };
  "GET /api/ruleChains": {
    readonly query?: {
      readonly pageSize?: string | number | boolean | undefined;
      readonly page?: string | number | boolean | undefined;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly type?: string | number | boolean | undefined;
      readonly ruleChainIds?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly RuleChain[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/ruleChains/export": {
    readonly query: { readonly limit: string | number | boolean };
    readonly answer: { readonly ruleChains: readonly RuleChain[]; readonly metadata: readonly RuleChainMetaData[] };
  };
  "GET /api/ruleChains/list": {
    readonly query: { readonly ruleChainIds: string | number | boolean };
    readonly answer: readonly RuleChain[];
  };
  "GET /api/ruleNode/{ruleNodeId}/debugIn": {
    readonly path: { readonly ruleNodeId: string };
    readonly answer: RuleNodeDebugInput;
  };
  "GET /api/system/info": {
    readonly answer: {
      readonly version: string;
      readonly artifact: string;
      readonly name: string;
      readonly type: string;
    };
  };
  "GET /api/tenant/asset": {
    readonly query: { readonly assetName: string | number | boolean };
    readonly answer: Asset;
  };
  "GET /api/tenant/assetInfos": {
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly type?: string | number | boolean | undefined;
      readonly assetProfileId?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly AssetInfo[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/tenant/assets": {
    readonly query?: {
      readonly pageSize?: string | number | boolean | undefined;
      readonly page?: string | number | boolean | undefined;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly type?: string | number | boolean | undefined;
      readonly assetName?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly Asset[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/tenant/customers": {
    readonly query: { readonly customerTitle: string | number | boolean };
    readonly answer: Customer;
  };
  "GET /api/tenant/dashboard/home/info": { readonly answer: HomeDashboardInfo };
  "GET /api/tenant/dashboards": {
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly mobile?: "true" | "false" | undefined;
    };
    readonly answer: {
      readonly data: readonly DashboardInfo[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/tenant/device": {
    readonly query: { readonly deviceName: string | number | boolean };
    readonly answer: Device;
  };
  "GET /api/tenant/deviceInfos": {
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly type?: string | number | boolean | undefined;
      readonly deviceProfileId?: string | number | boolean | undefined;
      readonly active?: "true" | "false" | undefined;
    };
    readonly answer: {
      readonly data: readonly DeviceInfo[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/tenant/devices": {
    readonly query?: {
      readonly pageSize?: string | number | boolean | undefined;
      readonly page?: string | number | boolean | undefined;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly type?: string | number | boolean | undefined;
      readonly deviceName?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly Device[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/tenant/edge": {
    readonly query: { readonly edgeName: string | number | boolean };
    readonly answer: EdgeWithStatus;
  };
  "GET /api/tenant/edgeInfos": {
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly type?: string | number | boolean | undefined;
      readonly presence?: "new" | "connected" | "disconnected" | undefined;
    };
    readonly answer: {
      readonly data: readonly EdgeInfo[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/tenant/edges": {
    readonly query?: {
      readonly pageSize?: string | number | boolean | undefined;
      readonly page?: string | number | boolean | undefined;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly type?: string | number | boolean | undefined;
      readonly presence?: string | number | boolean | undefined;
      readonly edgeName?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly EdgeWithStatus[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/tenant/entityView": {
    readonly query: { readonly entityViewName: string | number | boolean };
    readonly answer: EntityView;
  };
  "GET /api/tenant/entityViewInfos": {
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly type?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly EntityViewInfo[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/tenant/entityViews": {
    readonly query?: {
      readonly pageSize?: string | number | boolean | undefined;
      readonly page?: string | number | boolean | undefined;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly type?: string | number | boolean | undefined;
      readonly entityViewName?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly EntityView[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/tenant/info/{tenantId}": { readonly path: { readonly tenantId: string }; readonly answer: TenantInfo };
  "GET /api/tenant/{tenantId}": { readonly path: { readonly tenantId: string }; readonly answer: Tenant };
  "GET /api/tenant/{tenantId}/dashboards": {
    readonly path: { readonly tenantId: string };
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly DashboardInfo[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/tenant/{tenantId}/users": {
    readonly path: { readonly tenantId: string };
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly User[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/tenantInfos": {
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly TenantInfo[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/tenantProfile/{tenantProfileId}": {
    readonly path: { readonly tenantProfileId: string };
    readonly answer: TenantProfile;
  };
  "GET /api/tenantProfileInfo/default": { readonly answer: TenantProfileInfo };
  "GET /api/tenantProfileInfo/{tenantProfileId}": {
    readonly path: { readonly tenantProfileId: string };
    readonly answer: TenantProfileInfo;
  };
  "GET /api/tenantProfileInfos": {
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly TenantProfileInfo[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/tenantProfiles": {
    readonly query?: {
      readonly pageSize?: string | number | boolean | undefined;
      readonly page?: string | number | boolean | undefined;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly ids?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly TenantProfile[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/tenants": {
    readonly query?: {
      readonly pageSize?: string | number | boolean | undefined;
      readonly page?: string | number | boolean | undefined;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly tenantIds?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly Tenant[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/tenants/list": {
    readonly query: { readonly tenantIds: string | number | boolean };
    readonly answer: readonly Tenant[];
  };
  "GET /api/usage": { readonly answer: { readonly [name: string]: number } };
  "GET /api/user/mobile/session": { readonly answer: MobileSessionInfo };
  "GET /api/user/settings": { readonly answer: { readonly [name: string]: unknown } };
  "GET /api/user/tokenAccessEnabled": { readonly answer: boolean };
  "GET /api/user/{userId}": { readonly path: { readonly userId: string }; readonly answer: User };
  "GET /api/user/{userId}/activationLink": { readonly path: { readonly userId: string }; readonly answer: string };
  "GET /api/user/{userId}/activationLinkInfo": {
    readonly path: { readonly userId: string };
    readonly answer: { readonly value: string; readonly ttlMs: number };
  };
  "GET /api/user/{userId}/resetLink": { readonly path: { readonly userId: string }; readonly answer: string };
  "GET /api/user/{userId}/token": { readonly path: { readonly userId: string }; readonly answer: TokenPair };
  "GET /api/users": {
    readonly query?: {
      readonly pageSize?: string | number | boolean | undefined;
      readonly page?: string | number | boolean | undefined;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly userIds?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly User[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/users/assign/{alarmId}": {
    readonly path: { readonly alarmId: string };
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly UserInfo[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/users/info": {
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly UserInfo[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/users/list": {
    readonly query: { readonly userIds: string | number | boolean };
    readonly answer: readonly User[];
  };
  "GET /api/v2/alarm/{entityType}/{entityId}": {
    readonly path: { readonly entityType: string; readonly entityId: string };
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly startTime?: string | number | boolean | undefined;
      readonly endTime?: string | number | boolean | undefined;
      readonly statusList?: string | number | boolean | undefined;
      readonly severityList?: string | number | boolean | undefined;
      readonly typeList?: string | number | boolean | undefined;
      readonly assigneeId?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly AlarmInfo[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "GET /api/v2/alarms": {
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly startTime?: string | number | boolean | undefined;
      readonly endTime?: string | number | boolean | undefined;
      readonly statusList?: string | number | boolean | undefined;
      readonly severityList?: string | number | boolean | undefined;
      readonly typeList?: string | number | boolean | undefined;
      readonly assigneeId?: string | number | boolean | undefined;
    };
    readonly answer: {
      readonly data: readonly AlarmInfo[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "POST /api/alarm": { readonly body: AlarmInput; readonly answer: Alarm };
  "POST /api/alarm/{alarmId}/ack": { readonly path: { readonly alarmId: string }; readonly answer: AlarmInfo };
  "POST /api/alarm/{alarmId}/assign/{assigneeId}": {
    readonly path: { readonly alarmId: string; readonly assigneeId: string };
    readonly answer: Alarm;
  };
  "POST /api/alarm/{alarmId}/clear": { readonly path: { readonly alarmId: string }; readonly answer: AlarmInfo };
  "POST /api/alarm/{alarmId}/comment": {
    readonly path: { readonly alarmId: string };
    readonly body: AlarmCommentInput;
    readonly answer: AlarmComment;
  };
  "POST /api/alarmsQuery/count": { readonly body: AlarmCountQuery; readonly answer: number };
  "POST /api/alarmsQuery/find": {
    readonly body: AlarmDataQuery;
    readonly answer: {
      readonly data: readonly AlarmData[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "POST /api/apiKey": { readonly body: ApiKeyInput; readonly answer: NewApiKey };
  "POST /api/asset": {
    readonly query?: {
      readonly nameConflictPolicy?: "FAIL" | "UNIQUIFY" | undefined;
      readonly uniquifySeparator?: string | number | boolean | undefined;
      readonly uniquifyStrategy?: "RANDOM" | "INCREMENTAL" | undefined;
    };
    readonly body: AssetInput;
    readonly answer: Asset;
  };
  "POST /api/asset/bulk_import": { readonly body: BulkImport; readonly answer: BulkImportResult };
  "POST /api/assetProfile": { readonly body: AssetProfileInput; readonly answer: AssetProfile };
  "POST /api/assetProfile/{assetProfileId}/default": {
    readonly path: { readonly assetProfileId: string };
    readonly answer: AssetProfile;
  };
  "POST /api/assets": { readonly body: EntitySearchQuery; readonly answer: readonly Asset[] };
  "POST /api/auth/changePassword": {
    readonly body: { readonly currentPassword: string; readonly newPassword: string };
    readonly answer: TokenPair;
  };
  "POST /api/auth/login": { readonly body: unknown; readonly answer: TokenPair };
  "POST /api/auth/login/public": { readonly body: { readonly publicId: string }; readonly answer: TokenPair };
  "POST /api/auth/logout": { readonly answer: void };
  "POST /api/auth/token": { readonly body: unknown; readonly answer: TokenPair };
  "POST /api/customer": {
    readonly query?: {
      readonly nameConflictPolicy?: "FAIL" | "UNIQUIFY" | undefined;
      readonly uniquifySeparator?: string | number | boolean | undefined;
      readonly uniquifyStrategy?: "RANDOM" | "INCREMENTAL" | undefined;
    };
    readonly body: CustomerInput;
    readonly answer: Customer;
  };
  "POST /api/customer/device/{deviceName}/claim": {
    readonly path: { readonly deviceName: string };
    readonly body: unknown;
    readonly answer: { readonly device: Device; readonly response: "SUCCESS" };
  };
  "POST /api/customer/public/asset/{assetId}": { readonly path: { readonly assetId: string }; readonly answer: Asset };
  "POST /api/customer/public/dashboard/{dashboardId}": {
    readonly path: { readonly dashboardId: string };
    readonly answer: Dashboard;
  };
  "POST /api/customer/public/device/{deviceId}": {
    readonly path: { readonly deviceId: string };
    readonly answer: Device;
  };
  "POST /api/customer/public/edge/{edgeId}": { readonly path: { readonly edgeId: string }; readonly answer: Edge };
  "POST /api/customer/public/entityView/{entityViewId}": {
    readonly path: { readonly entityViewId: string };
    readonly answer: EntityView;
  };
  "POST /api/customer/{customerId}/asset/{assetId}": {
    readonly path: { readonly customerId: string; readonly assetId: string };
    readonly answer: Asset;
  };
  "POST /api/customer/{customerId}/dashboard/{dashboardId}": {
    readonly path: { readonly customerId: string; readonly dashboardId: string };
    readonly answer: Dashboard;
  };
  "POST /api/customer/{customerId}/device/{deviceId}": {
    readonly path: { readonly customerId: string; readonly deviceId: string };
    readonly answer: Device;
  };
  "POST /api/customer/{customerId}/edge/{edgeId}": {
    readonly path: { readonly customerId: string; readonly edgeId: string };
    readonly answer: Edge;
  };
  "POST /api/customer/{customerId}/entityView/{entityViewId}": {
    readonly path: { readonly customerId: string; readonly entityViewId: string };
    readonly answer: EntityView;
  };
  "POST /api/dashboard": { readonly body: unknown; readonly answer: Dashboard };
  "POST /api/dashboard/{dashboardId}/customers": {
    readonly path: { readonly dashboardId: string };
    readonly body: readonly string[];
    readonly answer: Dashboard;
  };
  "POST /api/dashboard/{dashboardId}/customers/add": {
    readonly path: { readonly dashboardId: string };
    readonly body: readonly string[];
    readonly answer: Dashboard;
  };
  "POST /api/dashboard/{dashboardId}/customers/remove": {
    readonly path: { readonly dashboardId: string };
    readonly body: readonly string[];
    readonly answer: Dashboard;
  };
  "POST /api/device": {
    readonly query?: {
      readonly nameConflictPolicy?: "FAIL" | "UNIQUIFY" | undefined;
      readonly uniquifySeparator?: string | number | boolean | undefined;
      readonly uniquifyStrategy?: "RANDOM" | "INCREMENTAL" | undefined;
      readonly accessToken?: string | number | boolean | undefined;
    };
    readonly body: DeviceInput;
    readonly answer: Device;
  };
  "POST /api/device-with-credentials": {
    readonly body: { readonly device: DeviceInput; readonly credentials: DeviceCredentialsInput };
    readonly answer: Device;
  };
  "POST /api/device/bulk_import": { readonly body: BulkImport; readonly answer: BulkImportResult };
  "POST /api/device/credentials": { readonly body: DeviceCredentialsInput; readonly answer: DeviceCredentials };
  "POST /api/deviceProfile": { readonly body: DeviceProfileInput; readonly answer: DeviceProfile };
  "POST /api/deviceProfile/{deviceProfileId}/default": {
    readonly path: { readonly deviceProfileId: string };
    readonly answer: DeviceProfile;
  };
  "POST /api/deviceProfile/{deviceProfileId}/test": {
    readonly path: { readonly deviceProfileId: string };
    readonly body: AlarmRuleTestInput;
    readonly answer: {
      readonly lines: readonly { readonly ts: number; readonly kind: string }[];
      readonly cut: string | null;
    };
  };
  "POST /api/devices": { readonly body: EntitySearchQuery; readonly answer: readonly Device[] };
  "POST /api/edge": { readonly body: EdgeInput; readonly answer: Edge };
  "POST /api/edge/bulk_import": { readonly body: BulkImport; readonly answer: BulkImportResult };
  "POST /api/edge/claimCode": { readonly body: EdgeInput; readonly answer: ClaimableEdge };
  "POST /api/edge/sync/{edgeId}": {
    readonly path: { readonly edgeId: string };
    readonly query?: { readonly full?: "true" | "false" | undefined };
    readonly answer: void;
  };
  "POST /api/edge/{edgeId}/asset/{assetId}": {
    readonly path: { readonly edgeId: string; readonly assetId: string };
    readonly answer: Asset;
  };
  "POST /api/edge/{edgeId}/backfill": {
    readonly path: { readonly edgeId: string };
    readonly body: BackfillInput;
    readonly answer: Backfill;
  };
  "POST /api/edge/{edgeId}/backfill/{backfillId}/cancel": {
    readonly path: { readonly edgeId: string; readonly backfillId: string };
    readonly answer: Backfill;
  };
  "POST /api/edge/{edgeId}/claimCode": { readonly path: { readonly edgeId: string }; readonly answer: ClaimCode };
  "POST /api/edge/{edgeId}/dashboard/{dashboardId}": {
    readonly path: { readonly edgeId: string; readonly dashboardId: string };
    readonly answer: Dashboard;
  };
  "POST /api/edge/{edgeId}/device/{deviceId}": {
    readonly path: { readonly edgeId: string; readonly deviceId: string };
    readonly answer: Device;
  };
  "POST /api/edge/{edgeId}/entityView/{entityViewId}": {
    readonly path: { readonly edgeId: string; readonly entityViewId: string };
    readonly answer: EntityView;
  };
  "POST /api/edge/{edgeId}/events/replay": {
    readonly path: { readonly edgeId: string };
    readonly query?: { readonly code?: string | number | boolean | undefined };
    readonly answer: DownlinkReplay;
  };
  "POST /api/edge/{edgeId}/events/{event}/replay": {
    readonly path: { readonly edgeId: string; readonly event: string };
    readonly answer: DownlinkReplay;
  };
  "POST /api/edge/{edgeId}/rights": {
    readonly path: { readonly edgeId: string };
    readonly body: EdgeRights;
    readonly answer: EdgeRights;
  };
  "POST /api/edge/{edgeId}/ruleChain/{ruleChainId}": {
    readonly path: { readonly edgeId: string; readonly ruleChainId: string };
    readonly answer: RuleChain;
  };
  "POST /api/edge/{edgeId}/secret": { readonly path: { readonly edgeId: string }; readonly answer: Edge };
  "POST /api/edge/{edgeId}/{ruleChainId}/root": {
    readonly path: { readonly edgeId: string; readonly ruleChainId: string };
    readonly answer: Edge;
  };
  "POST /api/edges": { readonly body: EntitySearchQuery; readonly answer: readonly EdgeWithStatus[] };
  "POST /api/entitiesQuery/count": { readonly body: EntityCountQuery; readonly answer: number };
  "POST /api/entitiesQuery/find": {
    readonly body: EntityDataQuery;
    readonly answer: {
      readonly data: readonly EntityData[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "POST /api/entitiesQuery/find/keys": {
    readonly query?: {
      readonly timeseries?: "true" | "false" | undefined;
      readonly attributes?: "true" | "false" | undefined;
      readonly scope?: "CLIENT_SCOPE" | "SHARED_SCOPE" | "SERVER_SCOPE" | undefined;
    };
    readonly body: EntityCountQuery;
    readonly answer: {
      readonly timeseries: readonly string[];
      readonly attribute: readonly string[];
      readonly entityTypes: readonly string[];
    };
  };
  "POST /api/entityView": {
    readonly query?: {
      readonly nameConflictPolicy?: "FAIL" | "UNIQUIFY" | undefined;
      readonly uniquifySeparator?: string | number | boolean | undefined;
      readonly uniquifyStrategy?: "RANDOM" | "INCREMENTAL" | undefined;
    };
    readonly body: EntityViewInput;
    readonly answer: EntityView;
  };
  "POST /api/entityViews": { readonly body: EntitySearchQuery; readonly answer: readonly EntityView[] };
  "POST /api/events/{entityType}/{entityId}": {
    readonly path: { readonly entityType: string; readonly entityId: string };
    readonly query: {
      readonly pageSize: string | number | boolean;
      readonly page: string | number | boolean;
      readonly textSearch?: string | number | boolean | undefined;
      readonly sortProperty?: string | number | boolean | undefined;
      readonly sortOrder?: string | number | boolean | undefined;
      readonly startTime?: string | number | boolean | undefined;
      readonly endTime?: string | number | boolean | undefined;
      readonly tenantId?: string | number | boolean | undefined;
    };
    readonly body: EventFilter;
    readonly answer: {
      readonly data: readonly (LifecycleEvent | RuleDebugEvent)[];
      readonly totalPages: number;
      readonly totalElements: number;
      readonly hasNext: boolean;
    };
  };
  "POST /api/events/{entityType}/{entityId}/clear": {
    readonly path: { readonly entityType: string; readonly entityId: string };
    readonly query?: {
      readonly startTime?: string | number | boolean | undefined;
      readonly endTime?: string | number | boolean | undefined;
    };
    readonly body: {
      readonly eventType?: "LC_EVENT" | "STATS" | "ERROR" | "DEBUG_RULE_NODE" | "DEBUG_RULE_CHAIN" | null;
    };
    readonly answer: void;
  };
  "POST /api/noauth/activate": {
    readonly body: { readonly activateToken: string; readonly password: string };
    readonly answer: TokenPair;
  };
  "POST /api/noauth/resetPassword": {
    readonly body: { readonly resetToken: string; readonly password: string };
    readonly answer: void;
  };
  "POST /api/noauth/resetPasswordByEmail": { readonly answer: void };
  "POST /api/notification/rule": { readonly body: NotificationRuleInput; readonly answer: NotificationRule };
  "POST /api/otaPackage": { readonly body: OtaPackageInput; readonly answer: OtaPackageInfo };
  "POST /api/otaPackage/{otaPackageId}": {
    readonly path: { readonly otaPackageId: string };
    readonly query: {
      readonly checksum?: string | number | boolean | undefined;
      readonly checksumAlgorithm: string | number | boolean;
    };
    readonly answer: OtaPackageInfo;
  };
  "POST /api/plugins/rpc/oneway/{deviceId}": {
    readonly path: { readonly deviceId: string };
    readonly body: unknown;
    readonly answer: unknown;
  };
  "POST /api/plugins/rpc/twoway/{deviceId}": {
    readonly path: { readonly deviceId: string };
    readonly body: unknown;
    readonly answer: unknown;
  };
  "POST /api/plugins/telemetry/{entityId}/{scope}": {
    readonly path: { readonly entityId: string; readonly scope: string };
    readonly body: unknown;
    readonly answer: void;
  };
  "POST /api/plugins/telemetry/{entityType}/{entityId}/attributes/{scope}": {
    readonly path: { readonly entityType: string; readonly entityId: string; readonly scope: string };
    readonly body: unknown;
    readonly answer: void;
  };
  "POST /api/plugins/telemetry/{entityType}/{entityId}/timeseries/{scope}": {
    readonly path: { readonly entityType: string; readonly entityId: string; readonly scope: string };
    readonly body: unknown;
    readonly answer: void;
  };
  "POST /api/plugins/telemetry/{entityType}/{entityId}/timeseries/{scope}/{ttl}": {
    readonly path: {
      readonly entityType: string;
      readonly entityId: string;
      readonly scope: string;
      readonly ttl: string;
    };
    readonly body: unknown;
    readonly answer: void;
  };
  "POST /api/plugins/telemetry/{entityType}/{entityId}/{scope}": {
    readonly path: { readonly entityType: string; readonly entityId: string; readonly scope: string };
    readonly body: unknown;
    readonly answer: void;
  };
  "POST /api/relation": { readonly body: EntityRelationInput; readonly answer: void };
  "POST /api/relations": { readonly body: EntityRelationsQuery; readonly answer: readonly EntityRelation[] };
  "POST /api/relations/info": { readonly body: EntityRelationsQuery; readonly answer: readonly EntityRelationInfo[] };
  "POST /api/resource": { readonly body: ResourceInput; readonly answer: ResourceInfo };
  "POST /api/resource/upload": { readonly answer: ResourceInfo };
  "POST /api/rpc/oneway/{deviceId}": {
    readonly path: { readonly deviceId: string };
    readonly body: unknown;
    readonly answer: unknown;
  };
  "POST /api/rpc/twoway/{deviceId}": {
    readonly path: { readonly deviceId: string };
    readonly body: unknown;
    readonly answer: unknown;
  };
  "POST /api/ruleChain": { readonly body: RuleChainInput; readonly answer: RuleChain };
  "POST /api/ruleChain/device/default": { readonly body: DefaultRuleChainInput; readonly answer: RuleChain };
  "POST /api/ruleChain/metadata": {
    readonly query?: { readonly updateRelated?: "true" | "false" | undefined };
    readonly body: RuleChainMetaDataInput;
    readonly answer: RuleChainMetaData;
  };
  "POST /api/ruleChain/testScript": {
    readonly query?: { readonly scriptLang?: "JS" | "TBEL" | undefined };
    readonly body: TestScriptInput;
    readonly answer: { readonly output: string; readonly error: string };
  };
  "POST /api/ruleChain/{ruleChainId}/autoAssignToEdge": {
    readonly path: { readonly ruleChainId: string };
    readonly answer: RuleChain;
  };
  "POST /api/ruleChain/{ruleChainId}/edgeTemplateRoot": {
    readonly path: { readonly ruleChainId: string };
    readonly answer: RuleChain;
  };
  "POST /api/ruleChain/{ruleChainId}/root": {
    readonly path: { readonly ruleChainId: string };
    readonly answer: RuleChain;
  };
  "POST /api/ruleChain/{ruleChainId}/test": {
    readonly path: { readonly ruleChainId: string };
    readonly body: RuleChainTestInput;
    readonly answer: {
      readonly lines: readonly { readonly ts: number; readonly kind: string }[];
      readonly cut: string | null;
    };
  };
  "POST /api/ruleChains/import": {
    readonly query?: { readonly overwrite?: "true" | "false" | undefined };
    readonly body: {
      readonly ruleChains: readonly RuleChainInput[];
      readonly metadata: readonly RuleChainMetaDataInput[];
    };
    readonly answer: readonly {
      readonly tenantId: EntityId;
      readonly ruleChainId: EntityId;
      readonly ruleChainName: string;
      readonly updated: boolean;
      readonly error: string | null;
    }[];
  };
  "POST /api/tenant": { readonly body: TenantInput; readonly answer: Tenant };
  "POST /api/tenant/dashboard/home/info": { readonly body: HomeDashboardInput; readonly answer: void };
  "POST /api/tenant/{tenantId}/device/{deviceId}": {
    readonly path: { readonly tenantId: string; readonly deviceId: string };
    readonly answer: Device;
  };
  "POST /api/tenantProfile": { readonly body: TenantProfileInput; readonly answer: TenantProfile };
  "POST /api/tenantProfile/{tenantProfileId}/default": {
    readonly path: { readonly tenantProfileId: string };
    readonly answer: TenantProfile;
  };
  "POST /api/user": {
    readonly query?: { readonly sendActivationMail?: string | number | boolean | undefined };
    readonly body: UserInput;
    readonly answer: User;
  };
  "POST /api/user/mobile/session": { readonly body: MobileSessionInfo; readonly answer: void };
  "POST /api/user/sendActivationMail": {
    readonly query?: { readonly email?: string | number | boolean | undefined };
    readonly answer: void;
  };
  "POST /api/user/settings": {
    readonly body: { readonly [name: string]: unknown };
    readonly answer: { readonly [name: string]: unknown };
  };
  "POST /api/user/{userId}/userCredentialsEnabled": {
    readonly path: { readonly userId: string };
    readonly query?: { readonly userCredentialsEnabled?: "true" | "false" | undefined };
    readonly answer: void;
  };
  "POST /api/v2/relation": { readonly body: EntityRelationInput; readonly answer: EntityRelation };
  "PUT /api/apiKey/{apiKeyId}/description": {
    readonly path: { readonly apiKeyId: string };
    readonly body: unknown;
    readonly answer: {
      readonly id: EntityId;
      readonly createdTime: number;
      readonly tenantId: EntityId;
      readonly userId: EntityId;
      readonly description: string;
      readonly expirationTime: number;
      readonly enabled: boolean;
    };
  };
  "PUT /api/apiKey/{apiKeyId}/enabled/{enabled}": {
    readonly path: { readonly apiKeyId: string; readonly enabled: string };
    readonly answer: {
      readonly id: EntityId;
      readonly createdTime: number;
      readonly tenantId: EntityId;
      readonly userId: EntityId;
      readonly description: string;
      readonly expirationTime: number;
      readonly enabled: boolean;
    };
  };
  "PUT /api/resource/{resourceId}/data": {
    readonly path: { readonly resourceId: string };
    readonly answer: ResourceInfo;
  };
  "PUT /api/resource/{resourceId}/info": {
    readonly path: { readonly resourceId: string };
    readonly body: ResourceInput;
    readonly answer: ResourceInfo;
  };
  "PUT /api/user/settings": { readonly body: { readonly [name: string]: unknown }; readonly answer: void };
}
