/** What a notification says, in parts that each channel shows in its own way. Plain JSON. */
export interface NotificationContent {
  /** Short facts in the order of their weight, such as `since` → `10:42 UTC, 5 min ago`. */
  readonly facts: readonly NotificationFact[];
  /** What it consists of, the gravest first, such as the alerts of a group. */
  readonly items: readonly NotificationItem[];
  /** What whoever reads it may do. */
  readonly actions: readonly NotificationAction[];
}

/** A name with a value in words. */
export interface NotificationFact {
  readonly name: string;
  readonly value: string;
}

/** One part of what is told. */
export interface NotificationItem {
  readonly title: string;
  readonly text: string;
}

/** Something to do. */
export interface NotificationAction {
  readonly title: string;
  /** To type. */
  readonly command?: string;
  /** To open; `https:` or `http:`. */
  readonly url?: string;
}
