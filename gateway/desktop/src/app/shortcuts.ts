import { useEffect } from 'react';
import { useNavigate } from 'react-router';
import { prefs } from '../store/prefs';
import { isActive } from '../store/select';
import { useDesk } from './context';
import { endChat } from './endChat';
import { type Action, recognise } from './keys';
import { openDialog, useUi } from './ui';

/** Ids of the elements that shortcuts act on. */
export const composerId = 'composer-text';
export const attachId = 'composer-attach';

/** Runs an action as if its shortcut had been pressed. */
export function useActions(): (action: Action) => void {
  const desk = useDesk();
  const navigate = useNavigate();
  return (action) => {
    const { offers, focus, conversations } = desk.store.getState();
    const offer = offers[0];
    const current = focus ? conversations[focus] : undefined;
    switch (action) {
      case 'accept':
        if (offer) void desk.accept(offer, false);
        return;
      case 'open':
        if (offer) {
          void navigate('/');
          void desk.accept(offer, true);
        }
        return;
      case 'reject':
        if (offer) void desk.reject(offer.offer);
        return;
      case 'previous':
      case 'next':
        void navigate('/');
        desk.focusBy(action === 'next' ? 1 : -1);
        return;
      case 'end':
        if (current && isActive(current)) void endChat(desk, current.id);
        return;
      case 'transfer':
        if (current && isActive(current)) openDialog({ kind: 'invite', conversation: current.id, transfer: true });
        return;
      case 'attach':
        document.getElementById(attachId)?.click();
        return;
      case 'info':
        openDialog({ kind: 'info' });
        return;
      case 'state':
        useUi.setState({ stateMenu: true });
        return;
      case 'sms':
        if (desk.mayText()) openDialog({ kind: 'sms' });
        return;
      case 'composer':
        document.getElementById(composerId)?.focus();
        return;
      case 'palette':
      case 'help':
        openDialog({ kind: action });
        return;
    }
  };
}

export function useShortcuts(): void {
  const desk = useDesk();
  const act = useActions();
  const navigate = useNavigate();
  useEffect(() => {
    const onKey = (e: KeyboardEvent) => {
      const pressed = recognise(e, prefs.getState().shortcuts, isTyping(e.target));
      if (!pressed || e.repeat) return;
      e.preventDefault();
      if ('action' in pressed) {
        act(pressed.action);
        return;
      }
      const id = desk.store.getState().active[pressed.jump - 1];
      if (!id) return;
      void navigate('/');
      desk.focus(id);
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  });
}

function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLInputElement) return !['checkbox', 'radio', 'range', 'button'].includes(target.type);
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement || target.isContentEditable;
}
