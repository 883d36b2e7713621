import { ConnectError, Code } from "@connectrpc/connect";
import { type PageContext, renderPage } from "../page.tsx";
import { logIn, logOut } from "../session.ts";

export interface LoginFormProps {
  /** Why the visitor is asked. */
  readonly problem?: string | undefined;
  /** Where to go afterwards: a path. */
  readonly next: string;
}

/** Asks for a token. */
export function LoginForm({ next, problem }: LoginFormProps) {
  return (
    <div class="login">
      <h1>Log in</h1>
      {problem !== undefined && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
      <form method="post" action="/login">
        <input type="hidden" name="next" value={next} />
        <label for="token">Token</label>
        <input
          id="token"
          name="token"
          type="password"
          autocomplete="current-password"
          spellcheck={false}
          required
          aria-describedby="token-hint"
        />
        <p id="token-hint" class="quiet">
          The one that your builds send as <code>Authorization: Bearer …</code>. It stays in this browser, in a cookie
          that no script can read.
        </p>
        <button class="primary">Log in</button>
      </form>
    </div>
  );
}

/** `GET /login` */
export function loginPage(c: PageContext): Response | Promise<Response> {
  return renderPage(c, { title: "Log in" }, <LoginForm next={localPath(c.req.query("next"))} />);
}

/** `POST /login` */
export async function loginAction(c: PageContext): Promise<Response> {
  const { next, token } = await c.req.parseBody();
  const path = localPath(next);
  try {
    await logIn(c, typeof token === "string" ? token.trim() : "");
  } catch (error) {
    if (!(error instanceof ConnectError) || error.code !== Code.Unauthenticated) throw error;
    return renderPage(
      c,
      { title: "Log in" },
      <LoginForm problem="This token is not accepted here." next={path} />,
      401,
    );
  }
  return c.redirect(path, 303);
}

/** `POST /logout` */
export function logoutAction(c: PageContext): Response {
  logOut(c);
  return c.redirect("/login", 303);
}

/** A path of this very site: nothing that a browser takes for another one. */
function localPath(next: unknown): string {
  return typeof next === "string" && /^\/(?![/\\])[\x21-\x7e]*$/.test(next) ? next : "/";
}
