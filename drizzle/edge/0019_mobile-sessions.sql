-- compatible: a new table
CREATE TABLE "mobile_session" (
	"user_id" uuid NOT NULL,
	"token" text NOT NULL,
	"token_ms" bigint NOT NULL,
	"saved_ms" bigint NOT NULL,
	CONSTRAINT "mobile_session_user_id_token_pk" PRIMARY KEY("user_id","token")
);
