/** One value of `/metrics`, with the labels that tell it from the others of its name. */
export interface MetricValue {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/s;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/gs;

/** Reads Prometheus's text format, as far as the Worker writes it. What is no value is passed over. */
export function parseExposition(text: string): MetricValue[] {
  return text.split("\n").flatMap((line) => {
    const [, name, labelText = "", valueText = ""] = LINE.exec(line) ?? [];
    const value = valueText === "+Inf" ? Infinity : Number(valueText);
    if (name === undefined || Number.isNaN(value)) return [];
    const labels: Record<string, string> = {};
    for (const [, label = "", escaped = ""] of labelText.matchAll(LABEL)) labels[label] = unescape(escaped);
    return [{ name, labels, value }];
  });
}

function unescape(escaped: string): string {
  return escaped.replace(/\\(.)/gs, (_, character: string) => (character === "n" ? "\n" : character));
}
