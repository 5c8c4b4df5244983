// The frame around every screen: bars and notices above it, alerts and dialogs over it.

import { Suspense, useEffect } from 'react';
import { useTranslation } from 'react-i18next';
import { Outlet } from 'react-router';
import { OfferStack } from '../desk/OfferStack';
import { useDesk, useDeskState } from './context';
import { LinkBanner } from './LinkBanner';
import { lazyDialog } from './lazy';
import { useLineState } from './lineState';
import { Palette } from './Palette';
import classes from './Shell.module.css';
import { SoundBanner } from './SoundBanner';
import { useShortcuts } from './shortcuts';
import { TopBar } from './TopBar';
import { useDeskMessages } from './toasts';
import { closeDialog, useUi } from './ui';

const Settings = lazyDialog(() => import('./Settings').then((m) => m.Settings));
const Help = lazyDialog(() => import('./Help').then((m) => m.Help));
const LogoutDialog = lazyDialog(() => import('./LogoutDialog').then((m) => m.LogoutDialog));
const InviteDialog = lazyDialog(() => import('../desk/InviteDialog').then((m) => m.InviteDialog));
const EndDialog = lazyDialog(() => import('../desk/EndDialog').then((m) => m.EndDialog));
const ContactDialog = lazyDialog(() => import('../desk/ContactDialog').then((m) => m.ContactDialog));
const SmsDialog = lazyDialog(() => import('../desk/SmsDialog').then((m) => m.SmsDialog));
const PictureViewer = lazyDialog(() => import('../desk/PictureViewer').then((m) => m.PictureViewer));

const dialogs = [InviteDialog, SmsDialog, Settings, Help, LogoutDialog, EndDialog, ContactDialog, PictureViewer];

export function Shell() {
  const { t } = useTranslation();
  useShortcuts();
  useDeskMessages();
  useEffect(() => {
    const when = setTimeout(() => void loadDialogs(), 1000);
    return () => clearTimeout(when);
  }, []);
  const line = useLineState();
  return (
    <div className={classes.shell}>
      <a className={classes.skip} href="#main">
        {t('nav.skip')}
      </a>
      <TopBar line={line} />
      {line === 'long' && <LinkBanner />}
      <SoundBanner />
      <main id="main" className={classes.main} tabIndex={-1}>
        <Outlet />
      </main>
      <OfferStack />
      <Suspense fallback={null}>
        <Dialogs />
      </Suspense>
    </div>
  );
}

/**
 * Loads the dialogs before they are needed, one after the other. One that fails to load is loaded
 * again when it is opened.
 */
async function loadDialogs() {
  for (const dialog of dialogs) await dialog.load().catch(() => {});
}

function Dialogs() {
  const dialog = useUi((s) => s.dialog);
  const desk = useDesk();
  // A dialog about a conversation closes when the conversation is gone.
  const exists = useDeskState((s) => !dialog || !('conversation' in dialog) || s.active.includes(dialog.conversation));
  if (!dialog || !exists) return null;
  switch (dialog.kind) {
    case 'settings':
      return <Settings onClose={closeDialog} />;
    case 'help':
      return <Help onClose={closeDialog} />;
    case 'palette':
      return <Palette onClose={closeDialog} />;
    case 'invite':
      return <InviteDialog conversation={dialog.conversation} transfer={dialog.transfer} onClose={closeDialog} />;
    case 'end':
      return <EndDialog desk={desk} conversation={dialog.conversation} onClose={closeDialog} />;
    case 'contact':
      return <ContactDialog conversation={dialog.conversation} onClose={closeDialog} />;
    case 'picture':
      return <PictureViewer blob={dialog.blob} name={dialog.name} onClose={closeDialog} />;
    case 'sms':
      return <SmsDialog to={dialog.to} service={dialog.service} onClose={closeDialog} />;
    case 'logout':
      return <LogoutDialog onClose={closeDialog} />;
    case 'info':
      return null; // drawn by the workspace, which has the panel
  }
}
