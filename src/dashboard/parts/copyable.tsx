/** A text to be copied as a whole: by its button where scripts run, by a click into it where they don't. */
export function Copyable({ label, text }: { readonly label: string; readonly text: string }) {
  return (
    <div class="copyable">
      <pre class="line" role="group" tabindex={0} aria-label={label}>
        <code>{text}</code>
      </pre>
      <button type="button" data-copy hidden>
        Copy
      </button>
    </div>
  );
}
