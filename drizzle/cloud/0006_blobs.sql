CREATE TABLE "blob" (
	"owner_id" uuid NOT NULL,
	"sha256" text NOT NULL,
	"total_bytes" bigint NOT NULL,
	"received_bytes" bigint NOT NULL,
	"is_complete" boolean NOT NULL,
	"used_ms" bigint NOT NULL,
	CONSTRAINT "blob_owner_id_sha256_pk" PRIMARY KEY("owner_id","sha256")
);
--> statement-breakpoint
CREATE TABLE "blob_chunk" (
	"owner_id" uuid NOT NULL,
	"sha256" text NOT NULL,
	"start" bigint NOT NULL,
	"content" "bytea" NOT NULL,
	CONSTRAINT "blob_chunk_owner_id_sha256_start_pk" PRIMARY KEY("owner_id","sha256","start")
);
--> statement-breakpoint
-- By hand: parts of a chunk are read without the rest, and zstd compresses on the wire.
ALTER TABLE "blob_chunk" ALTER COLUMN "content" SET STORAGE EXTERNAL;
