declare module "quickjs-wasi/quickjs.wasm" {
  /** Of the file, or of what is embedded in a compiled program. */
  const path: string;
  export default path;
}
