/** The builder hands an SVG file to a script as its text. */
declare module '*.svg' {
  const text: string;
  export default text;
}
