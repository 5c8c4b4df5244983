// The desktop's main screen: active list, the conversation in focus (K1), and what is known of its
// customer.

import { Drawer } from '@mantine/core';
import { useMediaQuery } from '@mantine/hooks';
import { useTranslation } from 'react-i18next';
import { useDeskState } from '../app/context';
import { closeDialog, useUi } from '../app/ui';
import { ActiveList } from './ActiveList';
import { ContactPanel } from './ContactPanel';
import { ConversationPanel } from './ConversationPanel';
import { EmptyDesk } from './EmptyDesk';
import classes from './Workspace.module.css';

export function Workspace() {
  const { t } = useTranslation();
  const focused = useDeskState((s) => (s.focus ? s.conversations[s.focus] : undefined));
  const wide = useMediaQuery('(min-width: 68em)', true, { getInitialValueInEffect: false });
  const infoOpen = useUi((s) => s.dialog?.kind === 'info');
  return (
    <div className={classes.desk} data-wide={wide || undefined}>
      <ActiveList />
      {focused ? (
        <>
          <ConversationPanel key={focused.id} conversation={focused} infoButton={!wide} />
          {wide ? (
            <aside className={classes.info} aria-label={t('contact.region')}>
              <ContactPanel conversation={focused} />
            </aside>
          ) : (
            <Drawer
              opened={infoOpen}
              onClose={closeDialog}
              position="right"
              size="20rem"
              title={t('contact.region')}
              closeButtonProps={{ 'aria-label': t('close') }}
            >
              <ContactPanel conversation={focused} />
            </Drawer>
          )}
        </>
      ) : (
        <EmptyDesk />
      )}
    </div>
  );
}
