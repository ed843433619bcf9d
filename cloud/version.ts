/** Version of the program, as in package.json; a test holds them together. */
export const CLOUD_VERSION = "0.1.0";
