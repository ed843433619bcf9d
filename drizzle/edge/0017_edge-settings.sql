-- compatible: columns that programs of before leave as they are
ALTER TABLE "site" ADD COLUMN "settings" json;