export interface FileRow {
  readonly name: string;
  readonly kind: string;
  /** Empty for what has no size of its own. */
  readonly size: string;
  /** Undefined for what can't be looked into. */
  readonly href: string | undefined;
}

export interface FilesTableProps {
  /** What all of it is, for who can't see that. */
  readonly label: string;
  /** Over the first column. */
  readonly heading: string;
  readonly rows: readonly FileRow[];
}

/** Files, directories and links, a row each. */
export function FilesTable({ heading, label, rows }: FilesTableProps) {
  return (
    <div class="scroll" role="group" aria-label={label} tabindex={0}>
      <table class="files">
        <thead>
          <tr>
            <th scope="col">{heading}</th>
            <th scope="col" class="wide">
              Kind
            </th>
            <th scope="col" class="number">
              Size
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map(({ href, kind, name, size }) => (
            <tr>
              <th scope="row">{href === undefined ? name : <a href={href}>{name}</a>}</th>
              <td class="wide quiet">{kind}</td>
              <td class="number">{size}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
