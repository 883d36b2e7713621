import { mayOn } from "../../access/caller.ts";
import { unauthenticated } from "../../access/authenticate.ts";
import { servedConfig } from "../../config/served-config.ts";
import type { Env } from "../../env.ts";
import { instanceOverview, type Overview } from "../known-executions.ts";
import { type PageContext, renderPage, visitorName } from "../page.tsx";
import { InstanceName } from "../parts/layout.tsx";
import { Figures, numbersOf } from "../parts/figures.tsx";
import { instancePath } from "../paths.ts";
import { visitor } from "../session.ts";
import type { ConfiguredInstance } from "../../config/config.ts";

/** `/`: the instances that the visitor may see. */
export async function frontPage(c: PageContext): Promise<Response> {
  const caller = await visitor(c);
  const instances = [...servedConfig(c.env).instances.values()].filter(({ name }) =>
    mayOn(caller, name, "see-operations"),
  );
  if (instances.length === 0 && !caller.authenticated) {
    throw unauthenticated("the dashboard needs the role executor or operator on an instance");
  }
  const overviews = await Promise.all(instances.map((instance) => standing(c.env, instance)));
  return renderPage(
    c,
    { title: "Instances", visitorName: visitorName(caller) },
    <>
      <h1>Instances</h1>
      {instances.length === 0 && (
        <p class="none">
          The token of {caller.name} has neither the role executor nor the role operator on any instance, so there is
          nothing to see here. Whoever runs this endpoint can grant one.
        </p>
      )}
      <div id="instances" data-refresh="5">
        <ul class="cards wide-cards">
          {overviews.map(({ name, overview }) => (
            <li class="card">
              <h2>
                <a href={instancePath(name)}>
                  <InstanceName name={name} />
                </a>
              </h2>
              <Figures numbers={numbersOf(overview)} />
            </li>
          ))}
        </ul>
      </div>
    </>,
  );
}

async function standing(env: Env, instance: ConfiguredInstance): Promise<{ name: string; overview: Overview }> {
  return { name: instance.name, overview: await instanceOverview(env, instance, 0) };
}
