import { Alert, Button, PasswordInput, TextInput, Title } from '@mantine/core';
import { IconAlertCircle } from '@tabler/icons-react';
import { type FormEvent, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { HttpError, login } from '../api/http';
import { remaining } from '../text/time';
import { useDeskState, useNow } from './context';
import classes from './Login.module.css';
import { Logo } from './Logo';

export function Login({ revoked, onDone }: { revoked: boolean; onDone: () => void }) {
  const { t } = useTranslation();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState('');
  const [retryAt, setRetryAt] = useState(0);
  const skew = useDeskState((s) => s.skew);

  const submit = async (e: FormEvent<HTMLFormElement>) => {
    e.preventDefault();
    const form = new FormData(e.currentTarget);
    setBusy(true);
    setError('');
    try {
      await login(String(form.get('login')).trim(), String(form.get('password')));
      onDone();
    } catch (err) {
      setError(errorKey(err));
      if (err instanceof HttpError && err.status === 429) setRetryAt(Date.now() + skew + err.retryAfter * 1000);
      setBusy(false);
    }
  };

  return (
    <main className={classes.page}>
      <form className={classes.card} onSubmit={submit}>
        <div className={classes.brand}>
          <Logo size={36} />
          <Title order={1} size="h2">
            Parley
          </Title>
        </div>
        {revoked && !error && (
          <Alert color="yellow" icon={<IconAlertCircle />} role="status" mb="md">
            {t('login.revoked')}
          </Alert>
        )}
        {error && (
          <Alert color="red" icon={<IconAlertCircle />} role="alert" mb="md">
            {error === 'login.slow' ? <Wait until={retryAt} /> : t(error)}
          </Alert>
        )}
        <TextInput
          name="login"
          label={t('login.name')}
          autoComplete="username"
          autoCapitalize="none"
          spellCheck={false}
          required
          withAsterisk={false}
          autoFocus
          size="md"
        />
        <PasswordInput
          name="password"
          label={t('login.password')}
          autoComplete="current-password"
          required
          withAsterisk={false}
          mt="sm"
          size="md"
          visibilityToggleButtonProps={{ 'aria-label': t('login.show'), tabIndex: 0 }}
        />
        <Button type="submit" fullWidth mt="lg" size="md" loading={busy}>
          {t('login.submit')}
        </Button>
      </form>
    </main>
  );
}

/**
 * Says how long the user must wait before the next attempt, and when that is over. The button stays
 * usable, since another user at this machine need not wait.
 */
function Wait({ until }: { until: number }) {
  const { t } = useTranslation();
  const left = until - useNow();
  if (left <= 0) return t('login.again');
  return (
    <>
      {t('login.slow')}{' '}
      <span role="timer" className="tabular">
        {remaining(left)}
      </span>
    </>
  );
}

function errorKey(err: unknown): string {
  if (!(err instanceof HttpError) || err.status >= 500) return 'login.trouble';
  if (err.status === 0) return 'login.unreachable';
  if (err.status === 429) return 'login.slow';
  return 'login.wrong';
}
