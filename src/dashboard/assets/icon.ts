/** A flight feather, for the browser's tab. */
export default `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">
  <path d="M14 2C8 2 4 6 3.4 11.2L2 14l1.2.6 1-2C9.6 12.2 13.6 8.6 14 2Z" fill="#0b7a75"/>
</svg>`;
