// Where the agent writes. The text survives a reload and a change of focus. Sending works while the
// connection is down; the message waits then.

import { ActionIcon, Button, Textarea, Tooltip } from '@mantine/core';
import { IconPaperclip, IconSend2 } from '@tabler/icons-react';
import {
  type ClipboardEvent,
  type KeyboardEvent,
  type Ref,
  useEffect,
  useId,
  useImperativeHandle,
  useRef,
  useState,
} from 'react';
import { useTranslation } from 'react-i18next';
import { useStore } from 'zustand';
import { useDesk, useDeskState, usePrefs, useReached } from '../app/context';
import { ariaKeys } from '../app/keys';
import { attachId, composerId } from '../app/shortcuts';
import { useUi } from '../app/ui';
import type { Conversation } from '../store/conversation';
import { draftKey, drafts, setDraft } from '../store/drafts';
import { allows, replyWindow, takesFiles } from '../store/select';
import { countSms, type SmsCount } from '../text/sms';
import { timeOfDay } from '../text/time';
import classes from './Composer.module.css';
import { StagedFiles } from './StagedFiles';
import { useStaging } from './staging';

export interface ComposerHandle {
  attach: (files: File[]) => void;
}

/**
 * In UTF-16 units: in any script this stays below the 32 KiB that the gateway accepts as one text.
 */
const maxText = 10_000;

/** How long before its end, in milliseconds, the agent is told that a reply window closes. */
const lastHours = 2 * 3_600_000;

export function Composer({ conversation: c, ref }: { conversation: Conversation; ref: Ref<ComposerHandle> }) {
  const { t, i18n } = useTranslation();
  const desk = useDesk();
  const me = useDeskState((s) => s.user?.id ?? '');
  const sendKey = usePrefs((p) => p.sendKey);
  const keys = usePrefs((p) => p.shortcuts);
  const text = useStore(drafts, (d) => d.texts[draftKey(me, c.id)] ?? '');
  const { staged, add } = useStaging(c.id);
  const field = useRef<HTMLTextAreaElement>(null);
  const picker = useRef<HTMLInputElement>(null);
  const hintId = useId();
  const [empty, setEmpty] = useState(false);
  const count = c.capabilities.counter === 'gsm7' ? countSms(text) : null;
  const limit = c.capabilities.max_length || maxText;
  const over = count ? Math.max(0, count.units - limit) : 0;
  const limited = replyWindow(c);
  const late = useReached(limited?.until) || (limited !== undefined && !limited.until);
  const soon = useReached(limited?.until, lastHours);
  const closed = c.optedOut || late;
  const files = takesFiles(c);
  const typing = c.capabilities.typing === true && allows(c, 'typing');

  useImperativeHandle(ref, () => ({ attach: add }), [add]);

  // An agent who brings a conversation into focus wants to write in it, unless they are busy in a
  // dialog or a field.
  useEffect(() => {
    const at = document.activeElement;
    const elsewhere = at instanceof HTMLInputElement || at?.closest('[role="dialog"], [role="alertdialog"]');
    if (!elsewhere) field.current?.focus({ preventScroll: true });
  }, []);

  // An agent who has begun or joined an exchange goes on to write in it.
  const wanted = useUi((u) => u.writeTo === c.id && u.dialog === null);
  useEffect(() => {
    if (!wanted) return;
    useUi.setState({ writeTo: null });
    field.current?.focus({ preventScroll: true });
  }, [wanted]);

  const send = () => {
    if (closed || over > 0) return;
    const trimmed = text.trim();
    const uploads = desk.outbox.take(c.id);
    if (!trimmed && uploads.length === 0) {
      setEmpty(true);
      return;
    }
    setDraft(me, c.id, '');
    desk.stopTyping();
    desk.outbox.send(c.id, trimmed, uploads);
    field.current?.focus();
  };

  const onKeyDown = (e: KeyboardEvent<HTMLTextAreaElement>) => {
    if (e.key !== 'Enter' || e.nativeEvent.isComposing || e.altKey) return;
    const modified = e.ctrlKey || e.metaKey;
    if (sendKey === 'enter' ? !e.shiftKey : modified) {
      e.preventDefault();
      send();
    }
  };
  const onPaste = (e: ClipboardEvent) => {
    if (!files || e.clipboardData.files.length === 0) return;
    e.preventDefault();
    add([...e.clipboardData.files]);
  };

  return (
    <div className={classes.composer}>
      {staged.length > 0 && <StagedFiles staged={staged} onRemove={(key) => desk.outbox.unstage(c.id, key)} />}
      <div className={classes.line}>
        {files && (
          <Tooltip label={t('composer.attach')}>
            <ActionIcon
              id={attachId}
              aria-label={t('composer.attach')}
              aria-keyshortcuts={ariaKeys('U', keys)}
              disabled={closed}
              onClick={() => picker.current?.click()}
            >
              <IconPaperclip size={20} />
            </ActionIcon>
          </Tooltip>
        )}
        <input
          ref={picker}
          type="file"
          multiple
          hidden
          aria-hidden
          tabIndex={-1}
          onChange={(e) => {
            add([...(e.currentTarget.files ?? [])]);
            e.currentTarget.value = '';
          }}
        />
        <div className={classes.field}>
          {count && allows(c, 'counter') && <Counter count={count} over={over > 0} />}
          <Textarea
            ref={field}
            id={composerId}
            aria-label={t('composer.label')}
            placeholder={t('composer.placeholder')}
            autosize
            minRows={1}
            maxRows={8}
            maxLength={count ? undefined : limit}
            disabled={closed}
            aria-describedby={hintId}
            value={text}
            dir="auto"
            onChange={(e) => {
              setDraft(me, c.id, e.currentTarget.value);
              setEmpty(false);
              if (typing && e.currentTarget.value) desk.typing(c.id);
            }}
            onKeyDown={onKeyDown}
            onPaste={onPaste}
            onBlur={() => desk.stopTyping()}
          />
        </div>
        <Button
          className={classes.send}
          aria-label={t('composer.send')}
          onClick={send}
          disabled={closed || over > 0}
          rightSection={<IconSend2 size={18} aria-hidden />}
          px="sm"
        >
          <span className={classes.sendText}>{t('composer.send')}</span>
        </Button>
      </div>
      <div id={hintId} className={classes.hint} role="status" data-bad={closed || over > 0 || undefined}>
        {c.optedOut
          ? t('composer.optedOut')
          : late
            ? t('composer.windowOver')
            : over > 0
              ? t('composer.over', { count: over, limit })
              : empty
                ? t('composer.empty')
                : soon
                  ? t('composer.windowEnds', { time: timeOfDay(limited?.until ?? '', i18n.language) })
                  : !count && text.length > limit * 0.9
                    ? t('composer.left', { count: limit - text.length })
                    : t(sendKey === 'enter' ? 'composer.enterSends' : 'composer.ctrlEnterSends')}
      </div>
    </div>
  );
}

/**
 * How much of an SMS the text takes (N9-N11): "12/160", or with more than one message "190 (2
 * messages)".
 */
function Counter({ count: { units, segments, limit }, over }: { count: SmsCount; over: boolean }) {
  const { t } = useTranslation();
  const several = segments > 1 ? t('composer.messages', { count: segments }) : '';
  return (
    <div className={classes.counter} data-bad={over || undefined}>
      <span className="tabular" aria-hidden>
        {several ? `${units} (${several})` : `${units}/${limit}`}
      </span>
      {/* Said when the number of messages changes, not with each key. */}
      <span className="sr-only" role="status">
        {several}
      </span>
    </div>
  );
}
