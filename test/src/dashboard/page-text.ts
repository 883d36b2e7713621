/** What a page says, without its markup. */
export function said(html: string): string {
  return html
    .replace(/<(title|style|script)\b.*?<\/\1>/gs, "")
    .replace(/<[^>]*>/g, " ")
    .replace(
      /&#39;|&quot;|&lt;|&gt;|&amp;/g,
      (entity) => ({ "&#39;": "'", "&quot;": '"', "&lt;": "<", "&gt;": ">" })[entity] ?? "&",
    )
    .replace(/\s+/g, " ");
}
