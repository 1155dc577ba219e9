export { Translator, type TranslatorOptions } from "./translator.ts";
