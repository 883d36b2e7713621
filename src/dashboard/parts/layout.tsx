import type { Child } from "hono/jsx";
import { agentsPath, instancePath } from "../paths.ts";

export interface LayoutProps {
  /** Of the page alone, for the browser's tab. */
  readonly title: string;
  /** The instance that the page belongs to; undefined for the pages above all instances. */
  readonly instanceName?: string | undefined;
  /** Which of the instance's own pages it is. */
  readonly current?: "overview" | "agents" | undefined;
  /** What the visitor is called; undefined for one without a token. */
  readonly visitorName?: string | undefined;
  readonly children?: Child;
}

/** The frame of every page. */
export function Layout({ children, current, instanceName, title, visitorName }: LayoutProps) {
  return (
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>{`${title} · Remex`}</title>
        <link rel="icon" href="/dashboard.svg" type="image/svg+xml" />
        <link rel="stylesheet" href="/dashboard.css" />
        <script type="module" src="/dashboard.js" />
      </head>
      <body>
        <a class="skip" href="#main">
          Skip to content
        </a>
        <header class="top">
          <a class="brand" href="/">
            <Feather />
            Remex
          </a>
          {instanceName !== undefined && (
            <nav aria-label="Instance">
              <a href={instancePath(instanceName)} aria-current={current === "overview" ? "page" : undefined}>
                <InstanceName name={instanceName} />
              </a>
              <a href={agentsPath(instanceName)} aria-current={current === "agents" ? "page" : undefined}>
                Agents
              </a>
            </nav>
          )}
          <div class="visitor">
            {visitorName === undefined ? (
              <a href="/login">Log in</a>
            ) : (
              <form method="post" action="/logout">
                <span class="quiet">{visitorName}</span> <button class="link">Log out</button>
              </form>
            )}
          </div>
        </header>
        <main id="main" tabindex={-1}>
          {children}
        </main>
      </body>
    </html>
  );
}

/** An instance may have no name. */
export function InstanceName({ name }: { readonly name: string }) {
  return name === "" ? <em>unnamed</em> : <>{name}</>;
}

function Feather() {
  return (
    <svg class="feather" viewBox="0 0 16 16" aria-hidden="true">
      <path d="M14 2C8 2 4 6 3.4 11.2L2 14l1.2.6 1-2C9.6 12.2 13.6 8.6 14 2Z" fill="currentColor" />
      <path d="M4.2 12.6 10 6.2" class="feather-shaft" />
    </svg>
  );
}
