// How an agent's state is shown: by icon, colour and word, never by colour alone.

import type { AgentStatus } from '@parley/shared/protocol';
import { IconCircleCheck, IconCircleMinus, IconHeadset, IconPencil, IconPower } from '@tabler/icons-react';
import type { TFunction } from 'i18next';

export const stateIcons = {
  ready: IconCircleCheck,
  not_ready: IconCircleMinus,
  busy: IconHeadset,
  acw: IconPencil,
  logged_out: IconPower,
} satisfies Record<AgentStatus, unknown>;

/** The suffix of the --p-* colours of a state. */
export const stateTones = {
  ready: 'ready',
  not_ready: 'away',
  busy: 'busy',
  acw: 'acw',
  logged_out: 'away',
} satisfies Record<AgentStatus, string>;

/** Reasons that an agent may choose; the gateway sets others. */
export const reasons = ['break', 'lunch', 'meeting', 'training', 'other'] as const;

/** A reason in words; one that is not known is shown as it is. */
export function reasonText(t: TFunction, reason: string): string {
  return reason ? t(`reason.${reason}`, { defaultValue: reason }) : '';
}
