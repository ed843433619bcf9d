CREATE TABLE "announced_package" (
	"device_id" uuid NOT NULL,
	"type" text NOT NULL,
	"package_id" uuid NOT NULL,
	"package_version" bigint NOT NULL,
	CONSTRAINT "announced_package_device_id_type_pk" PRIMARY KEY("device_id","type")
);
