-- compatible: a new table, of which older programs know nothing
CREATE TABLE "thinning_state" (
	"entity_id" uuid PRIMARY KEY NOT NULL,
	"is_device" boolean NOT NULL,
	"due_ms" bigint,
	"state" json NOT NULL
);
