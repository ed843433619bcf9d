-- compatible: a new table, of which older programs know nothing
CREATE TABLE "alarm_rule_state" (
	"device_id" uuid NOT NULL,
	"rule_id" text NOT NULL,
	"conditions" json NOT NULL,
	CONSTRAINT "alarm_rule_state_device_id_rule_id_pk" PRIMARY KEY("device_id","rule_id")
);
