/** A piece of output in one style. */
export interface StyledText {
  readonly text: string;
  /** Class names of style.css, with spaces between them; empty for plain text. */
  readonly style: string;
}

/** SGR parameters that switch something on, and the class that shows it. */
const ATTRIBUTES: ReadonlyMap<number, string> = new Map([
  [1, "ansi-bold"],
  [2, "ansi-dim"],
  [3, "ansi-italic"],
  [4, "ansi-underline"],
  [7, "ansi-inverse"],
  [9, "ansi-struck"],
]);

/** SGR parameters that switch attributes off. */
const ENDS: ReadonlyMap<number, readonly number[]> = new Map([
  [22, [1, 2]],
  [23, [3]],
  [24, [4]],
  [27, [7]],
  [29, [9]],
]);

/** The longest escape sequence that is waited for; what is longer is none. */
const MAX_ESCAPE_LENGTH = 4096;

/**
 * CSI and OSC sequences as ECMA-48 has them, other escapes of two characters, and what may still become one. OSC strings
 * (titles, links) end with BEL or ST.
 */
// eslint-disable-next-line no-control-regex
const ESCAPE = /\x1b(?:\[([0-9;:<=>?]*)[ -/]*([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-Z\\^-~])/g;
// eslint-disable-next-line no-control-regex
const UNFINISHED = /\x1b(?:\[[0-9;:<=>? -/]*|\][^\x07\x1b]*\x1b?|[ -/]*)?$/;

/**
 * Reads output as a terminal does, piece by piece, as far as colours and styles go: every other escape sequence is left
 * out, a lone carriage return begins a new line, and other control characters are shown as pictures of themselves.
 */
export class AnsiReader {
  readonly #decoder = new TextDecoder();
  readonly #attributes = new Set<number>();
  #foreground: number | undefined;
  #background: number | undefined;
  #rest = "";

  /** @param style what `style` returned after the part that was read before */
  constructor(style = "") {
    this.#apply(style);
  }

  /** The style as SGR parameters, with which another reader goes on. */
  get style(): string {
    const colour = (index: number | undefined, base: number) =>
      index === undefined ? [] : [index < 8 ? base + index : base + 60 + index - 8];
    return [0, ...this.#attributes, ...colour(this.#foreground, 30), ...colour(this.#background, 40)].join(";");
  }

  read(bytes: Uint8Array): StyledText[] {
    return this.#split(this.#decoder.decode(bytes, { stream: true }), false);
  }

  /** What is left when the output is over. */
  end(): StyledText[] {
    return this.#split(this.#decoder.decode(), true);
  }

  #split(decoded: string, isEnd: boolean): StyledText[] {
    let text = this.#rest + decoded;
    const unfinished = isEnd ? null : UNFINISHED.exec(text);
    // A carriage return at the end may be the first half of a line's end.
    const keep = unfinished?.[0] ?? (!isEnd && text.endsWith("\r") ? "\r" : "");
    this.#rest = keep.length > MAX_ESCAPE_LENGTH ? "" : keep;
    text = text.slice(0, text.length - keep.length);

    const pieces: StyledText[] = [];
    let from = 0;
    for (const match of text.matchAll(ESCAPE)) {
      this.#push(pieces, text.slice(from, match.index));
      from = match.index + match[0].length;
      if (match[2] === "m") this.#apply(match[1] ?? "");
    }
    this.#push(pieces, text.slice(from));
    return pieces;
  }

  #push(pieces: StyledText[], text: string): void {
    const shown = visible(text);
    if (shown !== "") pieces.push({ text: shown, style: this.#classes() });
  }

  #classes(): string {
    const attributes = [...this.#attributes].flatMap((parameter) => ATTRIBUTES.get(parameter) ?? []);
    if (this.#foreground !== undefined) attributes.push(`ansi-fg-${this.#foreground}`);
    if (this.#background !== undefined) attributes.push(`ansi-bg-${this.#background}`);
    return attributes.join(" ");
  }

  #apply(parameters: string): void {
    const numbers = parameters.split(/[;:]/).map(Number);
    for (let index = 0; index < numbers.length; index++) {
      const parameter = numbers[index] ?? 0;
      if (parameter === 0) this.#reset();
      else if (ATTRIBUTES.has(parameter)) this.#attributes.add(parameter);
      else if (parameter === 38 || parameter === 48) {
        const { colour, length } = extendedColour(numbers.slice(index + 1));
        if (parameter === 38) this.#foreground = colour;
        else this.#background = colour;
        index += length;
      } else if (parameter === 39) this.#foreground = undefined;
      else if (parameter === 49) this.#background = undefined;
      else if (parameter >= 30 && parameter <= 37) this.#foreground = parameter - 30;
      else if (parameter >= 40 && parameter <= 47) this.#background = parameter - 40;
      else if (parameter >= 90 && parameter <= 97) this.#foreground = parameter - 82;
      else if (parameter >= 100 && parameter <= 107) this.#background = parameter - 92;
      else for (const ended of ENDS.get(parameter) ?? []) this.#attributes.delete(ended);
    }
  }

  #reset(): void {
    this.#attributes.clear();
    this.#foreground = undefined;
    this.#background = undefined;
  }
}

/** `5;n` of the 256 colours or `2;r;g;b`, as the nearest of the sixteen that the pages have; and how many numbers that was. */
function extendedColour(numbers: readonly number[]): { colour: number | undefined; length: number } {
  const [kind, first = 0, green = 0, blue = 0] = numbers;
  if (kind === 2) return { colour: nearest(first, green, blue), length: 4 };
  if (kind !== 5) return { colour: undefined, length: 0 };
  if (first < 16) return { colour: first, length: 2 };
  if (first >= 232) {
    const grey = (first - 232) * 10 + 8;
    return { colour: nearest(grey, grey, grey), length: 2 };
  }
  const level = (step: number) => (step === 0 ? 0 : 55 + step * 40);
  const cube = first - 16;
  const rgb = [Math.floor(cube / 36), Math.floor(cube / 6) % 6, cube % 6].map(level);
  return { colour: nearest(rgb[0] ?? 0, rgb[1] ?? 0, rgb[2] ?? 0), length: 2 };
}

function nearest(red: number, green: number, blue: number): number {
  const highest = Math.max(red, green, blue);
  const lowest = Math.min(red, green, blue);
  if (highest - lowest < 32) return highest < 64 ? 0 : highest < 128 ? 8 : highest < 200 ? 7 : 15;
  const half = (highest + lowest) / 2;
  return (red > half ? 1 : 0) + (green > half ? 2 : 0) + (blue > half ? 4 : 0) + (highest > 200 ? 8 : 0);
}

/** Line ends as one character, and no character that a page could not show. */
function visible(text: string): string {
  return (
    text
      .replace(/\r\n?/g, "\n")
      // eslint-disable-next-line no-control-regex
      .replace(/[\x00-\x08\x0b-\x1f]/g, (control) => String.fromCodePoint(0x2400 + control.charCodeAt(0)))
      .replaceAll("\x7f", "\u2421")
  );
}
