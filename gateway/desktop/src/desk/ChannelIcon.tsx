import {
  IconBrandWhatsapp,
  IconDeviceMobile,
  IconMail,
  IconMessageCircle,
  IconMessages,
  IconPhone,
} from '@tabler/icons-react';

const icons: Record<string, typeof IconMessages> = {
  chat: IconMessageCircle,
  webchat: IconMessageCircle,
  'message-circle': IconMessageCircle,
  'device-mobile': IconDeviceMobile,
  sms: IconDeviceMobile,
  whatsapp: IconBrandWhatsapp,
  phone: IconPhone,
  voice: IconPhone,
  mail: IconMail,
};

/** The icon that a channel's plugin names; a neutral one when the desktop does not have it. */
export function ChannelIcon({ icon, channel, size = 18 }: { icon?: string; channel?: string; size?: number }) {
  const Icon = icons[icon ?? ''] ?? icons[channel ?? ''] ?? IconMessages;
  return <Icon size={size} aria-hidden />;
}
