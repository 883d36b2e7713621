import type { Directory } from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { type Digest, digestFromWire, digestKey } from "../../digest/digest.ts";
import { blobOf } from "../blob-request.ts";
import { directoryAt, directoryOfTree } from "../directory-at.ts";
import { type PageContext, renderPage, visitInstance, visitorName } from "../page.tsx";
import { FilesTable } from "../parts/files-table.tsx";
import { countText, sizeText } from "../parts/text.ts";
import { type BlobPage, blobPath } from "../paths.ts";

/** A directory may have hundreds of thousands of entries; a page shows so many. */
const MAX_ENTRIES = 2000;

type TreeContext = PageContext<"/ui/:instance/trees/:function/:hash/:size">;

/** `/ui/{instance}/trees/{function}/{hash}/{size}/{path…}`: a directory of an input tree. */
export function inputTreePage(c: TreeContext): Promise<Response> {
  return treePage(c, "trees");
}

/** `/ui/{instance}/output-trees/…`: a directory of an output directory, which is stored as one Tree message. */
export function outputTreePage(c: TreeContext): Promise<Response> {
  return treePage(c, "output-trees");
}

async function treePage(c: TreeContext, page: Extract<BlobPage, "trees" | "output-trees">): Promise<Response> {
  const { blobs, caller, config } = await visitInstance(c, c.req.param("instance"), "read-blobs");
  const root = blobOf(c.req.param());
  // The root's own page has no such parameter.
  const { path = "" }: Partial<Record<string, string>> = c.req.param();
  const directory = await (page === "trees" ? directoryAt : directoryOfTree)(blobs, root, path);
  const place = { instanceName: config.name, page, root, path };
  return renderPage(
    c,
    { title: path || "Tree", instanceName: config.name, visitorName: visitorName(caller) },
    <>
      <h1>{page === "trees" ? "Input tree" : "Output directory"}</h1>
      <Crumbs {...place} />
      <Entries directory={directory} {...place} />
      <p class="quiet id">{digestKey(root)}</p>
    </>,
  );
}

interface Place {
  readonly instanceName: string;
  readonly page: BlobPage;
  readonly root: Digest;
  readonly path: string;
}

function Crumbs({ instanceName, page, path, root }: Place) {
  const names = path.split("/").filter((name) => name !== "");
  return (
    <nav class="crumbs" aria-label="Path">
      <ol>
        {["root", ...names].map((name, depth) => (
          <li>
            <a
              href={blobPath(instanceName, page, root, names.slice(0, depth).join("/"))}
              aria-current={depth === names.length ? "page" : undefined}
            >
              {name}
            </a>
          </li>
        ))}
      </ol>
    </nav>
  );
}

function Entries({ directory, instanceName, page, path, root }: Place & { readonly directory: Directory }) {
  const { directories, files, symlinks } = directory;
  const below = (name: string) => (path === "" ? name : `${path}/${name}`);
  const rows = [
    ...directories.map(({ name }) => ({
      name: `${name}/`,
      kind: "directory",
      size: "",
      href: blobPath(instanceName, page, root, below(name)),
    })),
    ...files.map(({ digest, isExecutable, name }) => {
      const parsed = digestFromWire(root.digestFunction, digest, `digest of file ${name}`);
      return {
        name,
        kind: isExecutable ? "executable" : "file",
        size: sizeText(parsed.sizeBytes),
        href: blobPath(instanceName, "files", parsed, name),
      };
    }),
    ...symlinks.map(({ name, target }) => ({ name, kind: `link to ${target}`, size: "", href: undefined })),
  ];
  if (rows.length === 0) return <p class="none">The directory is empty.</p>;
  return (
    <>
      {rows.length > MAX_ENTRIES && (
        <p class="quiet">
          The first {MAX_ENTRIES} of {countText(rows.length, "entry", "entries")}.
        </p>
      )}
      <FilesTable label="Entries" heading="Name" rows={rows.slice(0, MAX_ENTRIES)} />
    </>
  );
}
