CREATE TABLE "deleted_edge" (
	"routing_key" text NOT NULL,
	"secret_hash" text NOT NULL,
	"deleted_ms" bigint NOT NULL,
	CONSTRAINT "deleted_edge_routing_key_secret_hash_pk" PRIMARY KEY("routing_key","secret_hash")
);
--> statement-breakpoint
CREATE TABLE "edge_report" (
	"edge_id" uuid PRIMARY KEY NOT NULL,
	"session" bigint DEFAULT 0 NOT NULL,
	"reported_ms" bigint,
	"body" json,
	"refused_code" text,
	"refused_text" text,
	"refused_ms" bigint,
	"downlink_counted" bigint DEFAULT 0 NOT NULL
);
--> statement-breakpoint
CREATE TABLE "edge_session" (
	"edge_id" uuid NOT NULL,
	"session" bigint NOT NULL,
	"replica_id" uuid NOT NULL,
	"edge_version" text NOT NULL,
	"connected_ms" bigint NOT NULL,
	"disconnected_ms" bigint,
	"reason" text,
	CONSTRAINT "edge_session_edge_id_session_pk" PRIMARY KEY("edge_id","session")
);
