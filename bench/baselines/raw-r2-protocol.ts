/** With a PUT: the object is to be uploaded in parts of so many bytes, the last of which may be smaller. */
export const PART_BYTES_HEADER = "x-part-bytes";
