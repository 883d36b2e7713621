/** Bundled as text: by esbuild's loaders in build.js, and by the rules of wrangler.toml. */
declare module "*.css" {
  const text: string;
  export default text;
}

declare module "*.client.js" {
  const text: string;
  export default text;
}
