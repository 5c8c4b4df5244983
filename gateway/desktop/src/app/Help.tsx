import { Kbd, Modal, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { mayText } from '../store/select';
import { useDeskState, usePrefs } from './context';
import classes from './Help.module.css';
import { isMac, keysOf, shortcuts } from './keys';

/** The dialog that lists all keys (opened with `?`). */
export function Help({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const modifiers = usePrefs((p) => p.shortcuts);
  const may = useDeskState(mayText);
  const sendKey = usePrefs((p) => p.sendKey);
  const command = isMac() ? '⌘' : 'Ctrl';
  const rows: [string[], string][] = [
    ...(modifiers === 'off'
      ? []
      : shortcuts
          .filter((s) => s.action !== 'sms' || may)
          .map((s): [string[], string] => [keysOf(s.label, modifiers), t(`action.${s.action}`)])),
    ...(modifiers === 'off' ? [] : [[keysOf('1…9', modifiers), t('action.jump')] as [string[], string]]),
    [sendKey === 'enter' ? ['Enter'] : [command, 'Enter'], t('action.send')],
    [sendKey === 'enter' ? [isMac() ? '⇧' : 'Shift', 'Enter'] : ['Enter'], t('action.newline')],
    [[command, 'K'], t('action.palette')],
    ...(modifiers === 'off' ? [] : [[['?'], t('action.help')] as [string[], string]]),
  ];
  return (
    <Modal opened onClose={onClose} title={t('help.title')} closeButtonProps={{ 'aria-label': t('close') }}>
      {modifiers === 'off' && <Text mb="sm">{t('help.off')}</Text>}
      <table className={classes.table}>
        <thead className="sr-only">
          <tr>
            <th scope="col">{t('help.keys')}</th>
            <th scope="col">{t('help.what')}</th>
          </tr>
        </thead>
        <tbody>
          {rows.map(([keys, what]) => (
            <tr key={what}>
              <td className={classes.keys}>
                {keys.map((k) => (
                  <Kbd key={k}>{k}</Kbd>
                ))}
              </td>
              <td>{what}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <Text c="dimmed" size="sm" mt="md">
        {t('help.change')}
      </Text>
    </Modal>
  );
}
