import { assert, axe, gateway } from '../browser.mjs';

export const name = 'login: who is asked to wait is told so, and for how long (ASVS 6.3.1)';

export async function run(browser) {
  for (const [locale, labels] of Object.entries({
    'en-GB': {
      login: 'Login',
      password: 'Password',
      submit: 'Log in',
      slow: 'try again after',
      again: 'try again now',
    },
    'de-DE': {
      login: 'Anmeldename',
      password: 'Passwort',
      submit: 'Anmelden',
      slow: 'versuchen Sie es wieder in',
      again: 'jetzt wieder',
    },
  })) {
    const fake = await gateway();
    const context = await browser.newContext({ locale });
    const page = await context.newPage();
    await page.goto(fake.url);
    await page.getByLabel(labels.login, { exact: true }).fill('ana');
    await page.getByLabel(labels.password, { exact: true }).fill('parley-demo');
    const submit = page.getByRole('button', { name: labels.submit });
    const alert = page.getByRole('alert');

    fake.loginWait = 75;
    await submit.click();
    await alert.getByText(labels.slow).waitFor();
    const left = await alert.getByRole('timer').textContent();
    assert(/^1:1[0-5]$/.test(left), `75 seconds to wait are shown as ${left}`);
    if (locale === 'en-GB') await axe(page, 'the login that asks to wait');

    fake.loginWait = 1;
    await submit.click();
    await alert.getByText(labels.again).waitFor();
    fake.loginWait = 0;
    await submit.click();
    // Waits for the button and not for the alert: the desktop has an alert of its own, which may be
    // there before this one has gone.
    await submit.waitFor({ state: 'detached' });
    await context.close();
    await fake.close?.();
  }
}
