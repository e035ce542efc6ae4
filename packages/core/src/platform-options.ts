import { z } from 'zod';
import { checkOptions, having } from './check-options.ts';
import type { ArtifactBackend, MetadataBackend, SeriesBackend } from './contracts/backend.ts';
import type { Caretaker } from './contracts/caretaker.ts';
import type { Executor } from './contracts/executor.ts';
import type {
  Authorizer,
  Clock,
  Ids,
  KeyProvider,
  Logger,
  Notifier,
  Principal,
} from './contracts/ports.ts';
import { KeelsonError } from './errors.ts';
import type { EventTypeDeclaration } from './events/declared-events.ts';
import type { EventRetention } from './events/retention.ts';
import type { Heartbeat } from './monitoring/alerting/self-watch.ts';
import { platformWorkspace } from './operations/access-resources.ts';
import { type TokenOptions, tokenOptions } from './operations/bearer-tokens.ts';
import { healthWorkspace } from './operations/health/store-checks.ts';
import { type NotifierRoute, notifiersOption } from './operations/notifiers/notifications.ts';
import type { ResourceLimits } from './pipelines/pipelines-types.ts';
import { publicKeys } from './registry/signing/signatures.ts';
import { type SystemMetricsOption, systemMetricsOption } from './tracking/system-metrics.ts';
import { type TrackingOptions, trackingOptions } from './tracking/tracking.ts';

/** How a platform is opened. Everything has a default: `openPlatform()` uses `.keelson/` here. */
export interface PlatformOptions {
  /**
   * Where a platform elsewhere is, such as `http://127.0.0.1:5000`: see `RemoteOptions`. `KEELSON_URL` when left out,
   * where neither `dir` nor a store is named.
   */
  readonly url?: string;
  /** An API key or a token for the server at `url`; `KEELSON_TOKEN` when left out. */
  readonly token?: string;
  /** How long a call to a server that is away is tried again; 30,000 when left out. */
  readonly retryMs?: number;
  /**
   * The directory of the embedded default (SQLite and files), and of what is local by nature: points that
   * wait for the store, copies of artifacts. That of `KEELSON_DIR`, or `.keelson`, when left out.
   */
  readonly dir?: string;
  /** Records, events and claims; in `dir` when left out. Such as `pgBackend` of `@keelson/store-pg`. */
  readonly metadata?: MetadataBackend;
  /**
   * Metric points, predictions and labels; in `dir` when left out. One object as `metadata` and `series`
   * lets searches look at params and metrics at once.
   */
  readonly series?: SeriesBackend;
  /** Contents; in `dir` when left out. Such as `s3Backend` of `@keelson/store-s3`. */
  readonly artifacts?: ArtifactBackend;
  /** Copies of model versions that were downloaded on this machine. */
  readonly downloadCache?: DownloadCacheOption;
  /** `default` when left out. */
  readonly workspace?: string;
  /** Who acts; the user of the operating system, with all roles, when left out. */
  readonly principal?: Principal;
  readonly clock?: Clock;
  readonly ids?: Ids;
  /** Silent but for warnings and errors on stderr when left out. A pino instance fits. */
  readonly logger?: Logger;
  /** What signs model versions, such as `derivedKeys(environmentSecrets())`; its keys are trusted too. */
  readonly keys?: KeyProvider;
  /**
   * Public keys (PEM, or 32 bytes in base64) whose signatures of model versions count here, beside those of
   * `keys`: to verify, no secret is needed.
   */
  readonly trustedKeys?: readonly string[];
  /** Decides who may do what, in place of `access`. */
  readonly authorizer?: Authorizer;
  /**
   * Roles and permissions are enforced: who has none may do nothing. Without it (and without `authorizer`)
   * everybody in the process may do everything.
   */
  readonly access?: true | AccessOptions;
  /**
   * Who tells people of what goes wrong in the platform's workspace, and of its end: a notifier, or a route
   * that says of what. What is to be told survives a kill; it is delivered once `start()` was called.
   */
  readonly notifiers?: readonly (Notifier | NotifierRoute)[];
  /**
   * Checks and recoveries of your own, beside those of the platform's parts; such as `goldenRequest` of
   * `@keelson/serve`.
   */
  readonly caretakers?: readonly Caretaker[];
  /**
   * What steps of pipelines that are no functions run on, such as `new DockerExecutor(…)`; beside `process` and
   * `thread`, which are there by themselves.
   */
  readonly executors?: readonly Executor[];
  readonly pipelines?: PipelineRunOptions;
  readonly metrics?: MetricOptions;
  readonly monitoring?: MonitoringOptions;
  readonly tracking?: TrackingOptions;
  readonly events?: EventOptions;
  /**
   * Samples of machine and process, as `system/*` metrics of runs that do not say otherwise: every ten
   * seconds with `true`. None when left out.
   */
  readonly systemMetrics?: SystemMetricsOption;
  /**
   * Runs of this process that are silent for this long are dead; 30,000 when left out. Their heartbeats
   * come six times as often.
   */
  readonly heartbeatTimeoutMs?: number;
}

/** How access is decided. */
export interface AccessOptions {
  /** Ids of principals that may do everything; the principal that opens the platform when left out. */
  readonly owners?: readonly string[];
  /** Whose JSON web tokens `platform.authenticate` accepts; API keys alone when left out. */
  readonly tokens?: TokenOptions;
  /** How long rights that another process changes may still be believed; 1,000 (the most) when left out. */
  readonly cacheMs?: number;
}

/** Where copies of what was downloaded are kept. Platforms may share a directory. */
export interface DownloadCacheOption {
  /**
   * On the file system that models are downloaded to, if they are to be there at once; `cache/downloads` in the
   * platform's directory when left out.
   */
  readonly dir?: string;
  /** Bytes at most; what was used longest ago goes first. 10 GiB when left out. */
  readonly maxBytes?: number;
}

/** Whose services are asked for: another workspace, another person. */
export interface ServicesOptions {
  readonly workspace?: string;
  readonly principal?: Principal;
  /** As the platform's when left out. */
  readonly tracking?: TrackingOptions;
}

/** How metric points are buffered. */
export interface MetricOptions {
  /** 250 when left out. */
  readonly flushMs?: number;
  /**
   * Bound of the points that wait in memory, 32 bytes each; 32 MiB (1,048,576 points) when left out. With
   * the blocks on their way to store and spool, points never take more than 64 MiB then. The writer's thread
   * itself (its heap, the database's cache) takes some 70 MB besides; see docs/leaving-and-limits.md.
   */
  readonly memoryBytes?: number;
  /** What happens when memory and spool are full; `drop` (thinned, counted, told) when left out. */
  readonly onFull?: 'drop' | 'block';
  /** Where points wait while the store is away; inside `dir` when left out. */
  readonly spoolDir?: string;
}

/** How this process runs steps of pipelines. */
export interface PipelineRunOptions {
  /** Functions that run at once; 4 when left out. */
  readonly concurrency?: number;
  /** Tasks of executors that are watched at once; 64 when left out. */
  readonly supervised?: number;
  /**
   * After how long another process takes over the steps of one that gives no sign of life, in ms; 10,000 when
   * left out. Of a process of the same machine that has ended they are taken over at once.
   */
  readonly leaseMs?: number;
  /** How room on machines is shared out among users. */
  readonly limits?: ResourceLimits;
  /** Where modules of steps that are named by a relative path lie; the working directory when left out. */
  readonly modulesRoot?: string;
  /** Where files of steps lie while they run; `work` in the platform's directory when left out. */
  readonly workRoot?: string;
}

/** How predictions are buffered, and how late labels may come. */
export interface MonitoringOptions {
  /** A flush of predictions begins when so many wait; 1,000 when left out. */
  readonly flushRows?: number;
  /** A prediction waits at most so long; 1,000 when left out. */
  readonly flushMs?: number;
  /** Labels later than this after their request are not joined; 60 days when left out. */
  readonly maxLabelDelayMs?: number;
  /** More predictions that are not stored yet: some are dropped, and counted. 100,000 when left out. */
  readonly maxRows?: number;
  /** The same of the bytes that they take in memory, roughly; 64 MiB when left out. */
  readonly maxBytes?: number;
  /**
   * Where each process keeps counts of the predictions that it accepted and stored, for the next one to say what a killed one
   * lost; `predictions` in the platform's directory when left out.
   */
  readonly countsDir?: string;
  /** How often what came in is analysed for drift, by `platform.start()`; 600,000 when left out. */
  readonly analysisMs?: number;
  /** Links in messages, and a sign of life to somebody outside. */
  readonly alerts?: AlertsOptions;
}

/** How people are told of alerts, beside what rules and routes say. */
export interface AlertsOptions {
  /** Where an alert can be looked at, with `{alertId}` and `{deployment}` in it. */
  readonly url?: string;
  /** Sent while alert rules are evaluated; where it stops, who gets it knows. None when left out. */
  readonly heartbeat?: Heartbeat;
}

/** Events of one's own. */
export interface EventOptions {
  /** Types beside those of the platform, with the schema of what they carry. */
  readonly types?: readonly EventTypeDeclaration[];
  /**
   * How long events stay in the log, in ms or `'forever'`: `{ 'step.*': 30 * 86_400_000 }`. Older ones are
   * moved into archives in the artifact store by a loop of `platform.start()`, up to a day later where that
   * makes one archive of many. What is not named: 7 years for what tells who changed what is in use, 90
   * days for steps and health, a year for the rest. The same in all processes of a store. It looks after the
   * platform's own workspace.
   */
  readonly retention?: EventRetention;
}

/** Text that every store and file system can keep. */
const name = z
  .string()
  .min(1)
  .refine((text) => text.isWellFormed() && !text.includes('\u0000'), {
    message: 'must be Unicode text without NUL',
  });

const services = {
  workspace: name
    .max(255)
    .refine((text) => text !== platformWorkspace && text !== healthWorkspace, {
      message: `must not be ${platformWorkspace} or ${healthWorkspace}: the platform keeps its own there`,
    })
    .optional(),
  principal: z
    .strictObject({
      id: name.max(255),
      roles: z.array(name),
      scopes: z.array(name).optional(),
      credential: name.max(255).optional(),
    } satisfies Record<keyof Principal, z.ZodType>)
    .optional(),
  tracking: trackingOptions.optional(),
};

const isFunction = (value: unknown): boolean => typeof value === 'function';
const duration = z.number().int().min(100).max(86_400_000);
const caretaker = z.object({
  component: name.max(100),
  checks: z
    .array(
      z.object({
        name: name.max(100),
        component: name.max(100),
        kind: z.enum(['liveness', 'readiness', 'deep', 'performance']),
        critical: z.boolean(),
        intervalMs: duration,
        timeoutMs: duration,
        run: z.custom(isFunction, 'must be a function'),
      }),
    )
    .optional(),
  recoveries: z
    .array(
      z.object({
        name: name.max(100),
        priority: z.number(),
        canHandle: z.custom(isFunction, 'must be a function'),
        run: z.custom(isFunction, 'must be a function'),
      }),
    )
    .optional(),
});

const servicesSchema = z.strictObject(services satisfies Record<keyof ServicesOptions, z.ZodType>);

const schema = z.strictObject({
  ...services,
  url: z.string().min(1).optional(),
  token: z.string().min(1).optional(),
  retryMs: z.number().int().min(0).max(86_400_000).optional(),
  dir: name.optional(),
  metadata: having<MetadataBackend>('a backend for metadata', 'openMetadata').optional(),
  series: having<SeriesBackend>('a backend for series', 'openSeries').optional(),
  artifacts: having<ArtifactBackend>('a backend for artifacts', 'openArtifacts').optional(),
  downloadCache: z
    .strictObject({
      dir: name.optional(),
      maxBytes: z.number().int().min(0).optional(),
    } satisfies Record<keyof DownloadCacheOption, z.ZodType>)
    .optional(),
  clock: having<Clock>('a Clock', 'now').optional(),
  ids: having<Ids>('Ids', 'next').optional(),
  logger: having<Logger>('a Logger', 'debug', 'info', 'warn', 'error').optional(),
  keys: having<KeyProvider>('a KeyProvider', 'key').optional(),
  trustedKeys: publicKeys.optional(),
  authorizer: having<Authorizer>('an Authorizer', 'authorize').optional(),
  access: z
    .union([
      z.literal(true),
      z.strictObject({
        owners: z.array(name.max(255)).optional(),
        tokens: tokenOptions.optional(),
        cacheMs: z.number().int().min(0).max(1000).optional(),
      } satisfies Record<keyof AccessOptions, z.ZodType>),
    ])
    .optional(),
  notifiers: notifiersOption.optional(),
  caretakers: z.array(caretaker).optional(),
  executors: z.array(having<Executor>('an executor', 'submit', 'attach', 'wait')).optional(),
  pipelines: z
    .strictObject({
      concurrency: z.number().int().min(1).max(10_000).optional(),
      supervised: z.number().int().min(1).max(100_000).optional(),
      leaseMs: z.number().int().min(500).max(3_600_000).optional(),
      limits: z
        .strictObject({
          perUser: z
            .strictObject({
              cpuCores: z.number().positive().optional(),
              memoryBytes: z.number().int().positive().optional(),
            })
            .optional(),
          holdBackMs: z.number().int().min(0).optional(),
        })
        .optional(),
      modulesRoot: name.optional(),
      workRoot: name.optional(),
    } satisfies Record<keyof PipelineRunOptions, z.ZodType>)
    .optional(),
  metrics: z
    .strictObject({
      flushMs: z.number().int().min(1).max(60_000).optional(),
      memoryBytes: z.number().int().min(65_536).optional(),
      onFull: z.enum(['drop', 'block']).optional(),
      spoolDir: name.optional(),
    })
    .optional(),
  monitoring: z
    .strictObject({
      flushRows: z.number().int().min(1).optional(),
      flushMs: z.number().int().min(1).optional(),
      maxLabelDelayMs: z.number().int().min(1).optional(),
      maxRows: z.number().int().min(1).optional(),
      maxBytes: z.number().int().min(65_536).optional(),
      countsDir: name.optional(),
      analysisMs: z.number().int().min(60_000).max(86_400_000).optional(),
      alerts: z
        .strictObject({
          url: z
            .string()
            .regex(/^https?:\/\//, 'must begin with https:// or http://')
            .optional(),
          heartbeat: z
            .strictObject({
              to: having<Notifier>('a Notifier', 'notify'),
              everyMs: z.number().int().min(1000).optional(),
            })
            .optional(),
        })
        .optional(),
    } satisfies Record<keyof MonitoringOptions, z.ZodType>)
    .optional(),
  events: z
    .strictObject({
      types: z
        .array(
          z.strictObject({
            type: z.string(),
            payload: having<EventTypeDeclaration['payload']>('a schema', 'safeParse'),
            upcasts: z.array(z.custom((value) => typeof value === 'function')).optional(),
          }),
        )
        .optional(),
      retention: z
        .record(z.string(), z.union([z.number().min(1), z.literal('forever')]))
        .optional(),
    })
    .optional(),
  systemMetrics: systemMetricsOption.optional(),
  heartbeatTimeoutMs: z.number().int().min(100).optional(),
} satisfies Record<keyof PlatformOptions, z.ZodType>);

/** Refuses, as INVALID and by name, options that are unknown or of the wrong type. */
export function checkPlatformOptions(options: unknown): PlatformOptions {
  const checked = checkOptions(schema, options, 'openPlatform') as PlatformOptions;
  if (checked.access === undefined || checked.authorizer === undefined) return checked;
  throw new KeelsonError(
    'INVALID',
    'openPlatform takes either access (roles and grants) or an authorizer of your own, not both.',
  );
}

/** Refuses, as INVALID and by name, what `platform.as` cannot use. */
export function checkServicesOptions(options: unknown): ServicesOptions {
  return checkOptions(servicesSchema, options, 'platform.as') as ServicesOptions;
}
