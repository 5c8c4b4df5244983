export function Logo({ size = 26 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 64 64" aria-hidden="true">
      <rect x="2" y="2" width="60" height="60" rx="15" fill="#0b6670" />
      <path d="M20 16h24a7 7 0 0 1 7 7v10a7 7 0 0 1-7 7h-9l-9 9v-9h-6a7 7 0 0 1-7-7V23a7 7 0 0 1 7-7z" fill="#fff" />
      <circle cx="24" cy="28" r="3" fill="#0b6670" />
      <circle cx="32" cy="28" r="3" fill="#0b6670" />
      <circle cx="40" cy="28" r="3" fill="#0b6670" />
    </svg>
  );
}
