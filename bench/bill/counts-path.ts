/** Where the counted Worker tells its counts, as JSON. */
export const COUNTS_PATH = "/bench/counts";
