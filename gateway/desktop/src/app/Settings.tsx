import { Button, Group, Modal, SegmentedControl, Select, Slider, Stack, Switch, Text } from '@mantine/core';
import { IconVolume } from '@tabler/icons-react';
import { type ReactNode, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { askForNotifications, notificationState } from '../alert/notify';
import { type Prefs, setPrefs } from '../store/prefs';
import { useAlerts, usePrefs } from './context';
import classes from './Settings.module.css';

export function Settings({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const alerts = useAlerts();
  const p = usePrefs((x) => x);
  const [permission, setPermission] = useState(notificationState());

  const allow = async () => {
    setPermission(await askForNotifications());
  };
  return (
    <Modal
      opened
      onClose={onClose}
      size="lg"
      title={t('settings.title')}
      closeButtonProps={{ 'aria-label': t('close') }}
    >
      <Section title={t('settings.sound')}>
        <Switch
          label={t('settings.offerTone')}
          checked={p.offerTone}
          onChange={(e) => setPrefs({ offerTone: e.currentTarget.checked })}
        />
        <Switch
          label={t('settings.messageTone')}
          checked={p.messageTone}
          onChange={(e) => setPrefs({ messageTone: e.currentTarget.checked })}
        />
        <Group gap="md" align="center" wrap="nowrap">
          <Text size="sm" id="volume-label">
            {t('settings.volume')}
          </Text>
          <Slider
            className={classes.grow}
            thumbProps={{ 'aria-labelledby': 'volume-label' }}
            label={(v) => `${v} %`}
            min={0}
            max={100}
            step={5}
            value={Math.round(p.volume * 100)}
            onChange={(v) => setPrefs({ volume: v / 100 })}
          />
          <Button
            variant="default"
            leftSection={<IconVolume size={17} aria-hidden />}
            onClick={() => {
              alerts.tones.unlock();
              alerts.tones.play('offer', p.volume);
            }}
          >
            {t('settings.test')}
          </Button>
        </Group>
      </Section>
      <Section title={t('settings.notifications')}>
        <Switch
          label={t('settings.notify')}
          description={t(`settings.permission.${permission}`)}
          checked={p.notifications}
          disabled={permission === 'unsupported'}
          onChange={(e) => {
            setPrefs({ notifications: e.currentTarget.checked });
            if (e.currentTarget.checked && permission === 'default') void allow();
          }}
        />
        {permission === 'default' && p.notifications && (
          <Button variant="default" onClick={() => void allow()} style={{ alignSelf: 'flex-start' }}>
            {t('settings.allow')}
          </Button>
        )}
      </Section>
      <Section title={t('settings.writing')}>
        <Choice
          label={t('settings.sendKey')}
          value={p.sendKey}
          options={{ enter: 'Enter', 'ctrl-enter': t('settings.ctrlEnter') }}
          onChange={(sendKey) => setPrefs({ sendKey })}
        />
        <Choice
          label={t('settings.shortcuts')}
          value={p.shortcuts}
          options={{ alt: 'Alt', 'alt-shift': t('settings.altShift'), off: t('settings.off') }}
          onChange={(shortcuts) => setPrefs({ shortcuts })}
        />
        <Select
          label={t('settings.late')}
          data={[30, 60, 120, 300].map((s) => ({ value: String(s), label: t('settings.seconds', { count: s }) }))}
          value={String(p.lateAfter)}
          allowDeselect={false}
          onChange={(v) => setPrefs({ lateAfter: Number(v) })}
        />
      </Section>
      <Section title={t('settings.look')}>
        <Choice
          label={t('settings.theme')}
          value={p.theme}
          options={{ auto: t('settings.auto'), light: t('settings.light'), dark: t('settings.dark') }}
          onChange={(theme) => setPrefs({ theme })}
        />
        <Choice
          label={t('settings.language')}
          value={p.language}
          options={{ auto: t('settings.auto'), en: 'English', de: 'Deutsch' }}
          onChange={(language) => setPrefs({ language })}
        />
      </Section>
    </Modal>
  );
}

function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section className={classes.section}>
      <h3 className={classes.heading}>{title}</h3>
      <Stack gap="sm">{children}</Stack>
    </section>
  );
}

function Choice<V extends Prefs[keyof Prefs] & string>({
  label,
  value,
  options,
  onChange,
}: {
  label: string;
  value: V;
  options: Record<V, string>;
  onChange: (value: V) => void;
}) {
  return (
    <div className={classes.choice}>
      <Text size="sm">{label}</Text>
      <SegmentedControl
        aria-label={label}
        value={value}
        onChange={(v) => onChange(v as V)}
        data={(Object.entries(options) as [V, string][]).map(([v, text]) => ({ value: v, label: text }))}
      />
    </div>
  );
}
