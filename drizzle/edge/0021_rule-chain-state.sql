-- compatible: new tables, of which older programs know nothing
CREATE TABLE "rule_call" (
	"id" uuid PRIMARY KEY NOT NULL,
	"effect" json NOT NULL
);
--> statement-breakpoint
CREATE TABLE "rule_node_state" (
	"chain_id" uuid NOT NULL,
	"node_id" uuid NOT NULL,
	"state" json,
	"wake_ms" bigint,
	CONSTRAINT "rule_node_state_chain_id_node_id_pk" PRIMARY KEY("chain_id","node_id")
);
