// Checks of CloudFormation templates: against the schemas of AWS, and of what they refer to.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadAwsServiceSpecSync } from '@aws-cdk/aws-service-spec';
import type { Property, PropertyType, SpecDatabase } from '@aws-cdk/service-spec-types';
import { type CollectionTag, type ScalarTag, type YAMLSeq, parse } from 'yaml';

/** Where the templates lie. */
export const environment: string = join(import.meta.dirname, '..', '..', 'environment');

/** An object of a template. */
export type Json = { [key: string]: unknown };
/** A resource. */
export interface Entry extends Json {
  Type: string;
  Condition?: string;
  DependsOn?: string | string[];
  Properties?: Json;
}
/** A template, its short forms made long. */
export interface Template {
  Parameters: Record<string, Json>;
  Conditions: Json;
  Resources: Record<string, Entry>;
  Outputs: Json;
}

// --- reading: the short forms become the long ones

/** Reads a template of `environment`. */
export function readTemplate(name: string): Template {
  const template = parse(readFileSync(join(environment, name), 'utf8'), { customTags: functions() }) as Template;
  return { ...template, Conditions: template.Conditions ?? {} };
}

function functions(): (ScalarTag | CollectionTag)[] {
  const long = (name: string): string => (name === 'Ref' || name === 'Condition' ? name : `Fn::${name}`);
  const scalars = ['Ref', 'Condition', 'Sub', 'GetAtt', 'GetAZs'].map((name) => ({
    tag: `!${name}`,
    resolve: (value: string) => ({ [long(name)]: name === 'GetAtt' ? value.split('.') : value }),
  }));
  const lists = ['If', 'Equals', 'Not', 'And', 'Or', 'Join', 'Select'].map((name) => ({
    tag: `!${name}`,
    collection: 'seq' as const,
    resolve: (value: unknown) => ({ [long(name)]: (value as YAMLSeq).toJSON() }),
  }));
  return [...scalars, ...lists];
}

// --- the schemas

let database: SpecDatabase | undefined;
/** All types of CloudFormation, as AWS publishes them; half a second to read. */
const schemas = (): SpecDatabase => (database ??= loadAwsServiceSpecSync());

/** What in the resources is not as the schemas of AWS say. */
export function misfits({ Resources }: Template): string[] {
  return Object.entries(Resources).flatMap(([name, { Type, Properties = {} }]) => {
    const [resource] = schemas().lookup('resource', 'cloudFormationType', 'equals', Type);
    return resource ? inObject(Properties, resource.properties, name) : [`${name}: no type ${Type}`];
  });
}

function inObject(value: Json, schema: Record<string, Property>, path: string): string[] {
  const missing = Object.keys(schema).filter((key) => schema[key].required && value[key] === undefined);
  return [
    ...missing.map((key) => `${path}.${key}: missing`),
    ...Object.entries(value).flatMap(([key, inside]) =>
      schema[key] ? inValue(inside, schema[key].type, `${path}.${key}`) : [`${path}.${key}: unknown`],
    ),
  ];
}

function inValue(value: unknown, type: PropertyType, path: string): string[] {
  const fn = functionOf(value);
  if (fn === 'Fn::If') return branches(value).flatMap((branch) => inValue(branch, type, path));
  if (fn !== undefined || type.type === 'json') return []; // what a function gives is known to AWS only
  switch (type.type) {
    case 'array':
      if (!Array.isArray(value)) return [`${path}: expected a list, got ${JSON.stringify(value)}`];
      return value.flatMap((item, i) => inValue(item, type.element, `${path}[${i}]`));
    case 'map':
      return Object.entries(value as Json).flatMap(([k, v]) => inValue(v, type.element, `${path}.${k}`));
    case 'ref': {
      const { properties } = schemas().get('typeDefinition', type.reference.$ref);
      if (typeof value !== 'object') return [`${path}: expected an object, got ${JSON.stringify(value)}`];
      return inObject(value as Json, properties, path);
    }
    case 'union': {
      const tries = type.types.map((one) => inValue(value, one, path));
      return tries.find((found) => found.length === 0) ?? tries[0];
    }
    default:
      return inScalar(value, type, path);
  }
}

function inScalar(value: unknown, type: PropertyType, path: string): string[] {
  const got = `got ${JSON.stringify(value)}`;
  if (type.type === 'tag')
    return Object.keys(value as Json)
      .sort()
      .join() === 'Key,Value'
      ? []
      : [`${path}: expected a tag, ${got}`];
  const allowed = 'allowedValues' in type ? type.allowedValues : undefined;
  if (allowed && !allowed.map(String).includes(String(value)))
    return [`${path}: expected one of ${allowed.join(', ')}, ${got}`];
  const fits: Record<string, boolean> = {
    integer: Number.isInteger(Number(value)),
    number: Number.isFinite(Number(value)),
    boolean: ['true', 'false'].includes(String(value)),
  };
  return typeof value === 'object' || !(fits[type.type] ?? true) ? [`${path}: expected ${type.type}, ${got}`] : [];
}

/** The function of CloudFormation that a value is, if it is one. */
export function functionOf(value: unknown): string | undefined {
  const [key, ...rest] = typeof value === 'object' && value !== null ? Object.keys(value) : [];
  return rest.length === 0 && /^(Ref|Condition|Fn::\w+)$/.test(key ?? '') ? key : undefined;
}

/** Both values of an Fn::If. */
export function branches(value: unknown): unknown[] {
  return (value as { 'Fn::If': unknown[] })['Fn::If'].slice(1);
}

// --- the references

/** References to what is not there, and parameters and conditions that nothing refers to. */
export function dangling(template: Template): string[] {
  const { Parameters, Conditions, Resources } = template;
  const names = new Set([...Object.keys(Parameters), ...Object.keys(Resources)]);
  const { refs, attributes, conditions } = references(template);
  return [
    ...[...refs]
      .filter((n) => !names.has(n) && !n.startsWith('AWS::'))
      .map((n) => `${n}: referred to, but nothing has this name`),
    ...[...attributes].filter((a) => !isAttribute(a, Resources)).map((a) => `${a}: no such attribute`),
    ...[...conditions].filter((c) => !(c in Conditions)).map((c) => `${c}: no such condition`),
    ...Object.keys(Parameters)
      .filter((p) => !refs.has(p))
      .map((p) => `${p}: nothing uses this parameter`),
    ...Object.keys(Parameters)
      .filter((name) => !takesDefault(Parameters[name]))
      .map((name) => `${name}: refuses its own default`),
    ...Object.keys(Conditions)
      .filter((c) => !conditions.has(c))
      .map((c) => `${c}: nothing uses this condition`),
  ];
}

function takesDefault({ Default, AllowedValues, AllowedPattern = '' }: Json): boolean {
  if (AllowedValues) return (AllowedValues as unknown[]).includes(Default);
  return typeof Default !== 'string' || new RegExp(String(AllowedPattern)).test(Default);
}

function isAttribute(attribute: string, resources: Record<string, Entry>): boolean {
  const [name, key] = attribute.split('.');
  const [resource] = schemas().lookup('resource', 'cloudFormationType', 'equals', resources[name]?.Type ?? '');
  return resource !== undefined && key in resource.attributes;
}

interface References {
  refs: Set<string>;
  /** `Name.Attribute` */
  attributes: Set<string>;
  conditions: Set<string>;
}

function references({ Conditions, Resources, Outputs }: Template): References {
  const found: References = { refs: new Set(), attributes: new Set(), conditions: new Set() };
  for (const { Condition, DependsOn = [] } of Object.values({ ...Resources, ...Outputs }) as Entry[]) {
    if (Condition !== undefined) found.conditions.add(Condition);
    for (const name of [DependsOn].flat()) found.refs.add(name);
  }
  collect([Conditions, Object.values(Resources).map((r) => r.Properties), Object.values(Outputs)], found);
  return found;
}

function collect(value: unknown, found: References): void {
  if (typeof value !== 'object' || value === null) return;
  const fn = functionOf(value);
  const [argument] = Object.values(value) as unknown[];
  if (fn === 'Ref') found.refs.add(String(argument));
  else if (fn === 'Condition' && typeof argument === 'string') found.conditions.add(argument);
  else if (fn === 'Fn::GetAtt') found.attributes.add((argument as string[]).join('.'));
  else if (fn === 'Fn::Sub') {
    for (const [, name] of String(argument).matchAll(/\$\{([^!}]+)\}/g))
      (name.includes('.') ? found.attributes : found.refs).add(name);
  } else {
    if (fn === 'Fn::If') found.conditions.add(String((argument as unknown[])[0]));
    for (const inside of Object.values(value)) collect(inside, found);
  }
}
