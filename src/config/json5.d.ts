/** Bundled as text: by esbuild's loader in build.js, and by the rules of wrangler.toml. */
declare module "*.json5" {
  const text: string;
  export default text;
}
