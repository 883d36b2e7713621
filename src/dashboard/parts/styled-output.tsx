import type { StyledText } from "../output/ansi.ts";

/** Output in its colours. All text is escaped, as any child is. */
export function StyledOutput({ pieces }: { readonly pieces: readonly StyledText[] }) {
  return <>{pieces.map(({ style, text }) => (style === "" ? text : <span class={style}>{text}</span>))}</>;
}
