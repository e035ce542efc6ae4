import type { ModelRequest, TensorModel } from './tensor-model.ts';

/** A runtime that runs models inside a replica, whatever the replica's isolation. */
interface RegisteredRuntime {
  /** The version formats that it runs where none is named. */
  readonly formats: readonly string[];
  /** Loads, without warming up. ModelFault, naming the file and what is wrong with it. */
  load(request: ModelRequest): Promise<TensorModel>;
}

/** The name of a runtime that runs models inside replicas. */
export type RuntimeName = 'javascript' | 'onnx' | 'tfjs';

// Loaded where they are used only: neither the HTTP thread nor a replica of another runtime pays for them.
const registry: Readonly<Record<RuntimeName, RegisteredRuntime>> = {
  javascript: {
    formats: ['JS', 'JAVASCRIPT'],
    load: async (request) => (await import('./javascript-model.ts')).loadJavaScriptModel(request),
  },
  onnx: {
    formats: ['ONNX'],
    load: async (request) => (await import('./onnx-model.ts')).loadOnnxModel(request),
  },
  tfjs: {
    formats: ['TFJS'],
    load: async (request) => (await import('./tfjs-model.ts')).loadTfjsModel(request),
  },
};

/** All of them. */
export const runtimeNames: readonly RuntimeName[] = Object.keys(registry) as RuntimeName[];

/** Whether a replica can run models by a runtime of that name. */
export function isRuntimeName(name: string): name is RuntimeName {
  return Object.hasOwn(registry, name);
}

/** The runtime of a version's format, such as `ONNX`; undefined when none runs it. */
export function runtimeOfFormat(format: string): RuntimeName | undefined {
  const wanted = format.toUpperCase();
  return runtimeNames.find((name) => registry[name].formats.includes(wanted));
}

/** The formats that some runtime runs, for messages. */
export function runnableFormats(): readonly string[] {
  return runtimeNames.map((name) => registry[name].formats[0] as string);
}

/** The runtime of that name. */
export function registeredRuntime(name: RuntimeName): RegisteredRuntime {
  return registry[name];
}
