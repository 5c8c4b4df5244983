// English is part of the page; other languages are loaded when they are chosen.

import i18n from 'i18next';
import { initReactI18next } from 'react-i18next';
import { type Prefs, prefs } from '../store/prefs';
import { en } from './en';

export { i18n };

const loaders: Record<string, () => Promise<object>> = {
  de: () => import('./de').then((m) => m.de),
};

/** Loads the texts, in the language of the settings or else the browser's. */
export async function startI18n(): Promise<void> {
  await i18n.use(initReactI18next).init({
    lng: 'en',
    fallbackLng: 'en',
    resources: { en: { translation: en } },
    interpolation: { escapeValue: false }, // React escapes them
    returnNull: false,
  });
  await choose(prefs.getState().language);
  prefs.subscribe((p, before) => {
    if (p.language !== before.language) void choose(p.language);
  });
}

async function choose(setting: Prefs['language']): Promise<void> {
  const wanted = setting === 'auto' ? navigator.languages.map((l) => l.split('-')[0] ?? '') : [setting];
  const language = wanted.find((l) => l === 'en' || l in loaders) ?? 'en';
  const load = loaders[language];
  if (load && !i18n.hasResourceBundle(language, 'translation')) {
    try {
      i18n.addResourceBundle(language, 'translation', await load());
    } catch {
      return; // an English desktop is better than none
    }
  }
  await i18n.changeLanguage(language);
  document.documentElement.lang = language;
}
