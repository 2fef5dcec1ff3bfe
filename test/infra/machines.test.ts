import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadAwsServiceSpecSync } from '@aws-cdk/aws-service-spec';
import type { Property, PropertyType, SpecDatabase } from '@aws-cdk/service-spec-types';
import { parse, type CollectionTag, type ScalarTag, type YAMLSeq } from 'yaml';

type Json = { [key: string]: unknown };
interface Entry extends Json {
  Type: string;
  Condition?: string;
  DependsOn?: string | string[];
  Properties?: Json;
}
interface Template {
  Parameters: Record<string, Json>;
  Conditions: Json;
  Resources: Record<string, Entry>;
  Outputs: Json;
}

const folder = join(import.meta.dirname, '..', '..', 'environment');
const text = readFileSync(join(folder, 'machines.yaml'), 'utf8');

describe('environment/machines.yaml', () => {
  const read = (): Template => parse(text, { customTags: functions() }) as Template;
  const faults = (template: Template): string[] => [...misfits(template), ...dangling(template), ...dangers(template)];

  it('is what the schemas of AWS ask for: types, properties, values, references', () => {
    assert.deepEqual(misfits(read()), []);
    assert.deepEqual(dangling(read()), []);
  });

  it('opens ssh to one address, encrypts every disk, asks for IMDSv2, takes images from SSM, and deletes nothing in the bucket', () => {
    assert.deepEqual(dangers(read()), []);
  });

  // What the checks above must catch: a change to the template, and what is said of it.
  const properties = (template: Template, name: string): Json => template.Resources[name].Properties as Json;
  const mistakes: [string, (template: Template) => void, RegExp][] = [
    [
      'an unknown type',
      (t) => (t.Resources['Gateway'].Type = 'AWS::EC2::Gateway'),
      /^Gateway: no type AWS::EC2::Gateway$/,
    ],
    ['an unknown property', (t) => (properties(t, 'Trainer')['Imageid'] = 'x'), /^Trainer\.Imageid: unknown$/],
    [
      'an unknown property deep inside',
      (t) => (ebs(properties(t, 'Trainer'))['Encrypt'] = true),
      /^Trainer\.BlockDeviceMappings\[0\]\.Ebs\.Encrypt: unknown$/,
    ],
    ['a missing required property', (t) => delete properties(t, 'S3Endpoint')['VpcId'], /^S3Endpoint\.VpcId: missing$/],
    [
      'a number that is none',
      (t) => (properties(t, 'TrainerIdle')['Period'] = 'hourly'),
      /^TrainerIdle\.Period: expected integer, got "hourly"$/,
    ],
    [
      'a value that is not among the allowed',
      (t) => (properties(t, 'S3Endpoint')['VpcEndpointType'] = 'Gate'),
      /^S3Endpoint\.VpcEndpointType: expected one of Interface, Gateway, .*, got "Gate"$/,
    ],
    [
      'a list that is none',
      (t) => (properties(t, 'Trainer')['SecurityGroupIds'] = 'sg-1'),
      /^Trainer\.SecurityGroupIds: expected a list/,
    ],
    [
      'a Ref to nothing',
      (t) => (properties(t, 'Trainer')['SubnetId'] = { Ref: 'Subnett' }),
      /^Subnett: .* nothing has this name$/,
    ],
    [
      'a Sub of nothing',
      (t) => (properties(t, 'S3Endpoint')['ServiceName'] = { 'Fn::Sub': 'com.amazonaws.${Region}.s3' }),
      /^Region: .* nothing has this name$/,
    ],
    [
      'an attribute that there is not',
      (t) => (t.Outputs['TrainerTunnel'] = { Value: { 'Fn::GetAtt': ['Trainer', 'Address'] } }),
      /^Trainer\.Address: no such attribute$/,
    ],
    [
      'a condition that there is not',
      (t) => (t.Resources['Trainer'].Condition = 'Maybe'),
      /^Maybe: no such condition$/,
    ],
    [
      'a parameter that nothing uses',
      (t) => (t.Parameters['Colour'] = { Type: 'String' }),
      /^Colour: nothing uses this parameter$/,
    ],
    [
      'a default that its own parameter refuses',
      (t) => (t.Parameters['TrainerType']['Default'] = 'p3.16xlarge'),
      /^TrainerType: refuses its own default$/,
    ],
    [
      'ssh from everywhere',
      (t) => (ingress(t)['CidrIp'] = '0.0.0.0/0'),
      /^Ssh lets in "0\.0\.0\.0\/0": expected the parameter SshFrom, port 22$/,
    ],
    ['another port let in', (t) => (ingress(t)['ToPort'] = 8888), /^Ssh lets in /],
    [
      'an address parameter for any network',
      (t) => (t.Parameters['SshFrom']['AllowedPattern'] = '.*'),
      /^SshFrom accepts /,
    ],
    [
      'a disk that is not encrypted',
      (t) => (ebs(properties(t, 'Datamaker'))['Encrypted'] = false),
      /^Datamaker: a disk is not encrypted$/,
    ],
    ['a right to everything in S3', (t) => (rights(t, 'TrainerRole')[1]['Action'] = 's3:*'), /^TrainerRole may s3:\*$/],
    [
      'a right to delete',
      (t) => (rights(t, 'TrainerRole')[2]['Action'] = 's3:DeleteObject'),
      /^TrainerRole may s3:DeleteObject$/,
    ],
    [
      'a right in every bucket',
      (t) => (rights(t, 'DatamakerRole')[1]['Resource'] = '*'),
      /^DatamakerRole may reach "\*"$/,
    ],
    [
      'IMDSv1',
      (t) => ((properties(t, 'Trainer')['MetadataOptions'] as Json)['HttpTokens'] = 'optional'),
      /^Trainer: IMDSv2 is not required$/,
    ],
    [
      'a fixed image',
      (t) => (properties(t, 'Trainer')['ImageId'] = 'ami-0123456789abcdef0'),
      /^Trainer: its image is not from SSM$/,
    ],
    [
      'a public bucket',
      (t) => delete properties(t, 'Storage')['PublicAccessBlockConfiguration'],
      /^Storage: not closed to the public$/,
    ],
    [
      'a bucket that goes with the stack',
      (t) => delete t.Resources['Storage']['DeletionPolicy'],
      /^Storage: deleted with the stack$/,
    ],
  ];
  for (const [name, change, said] of mistakes) {
    it(`would be refused with ${name}`, () => {
      const template = read();
      change(template);
      const found = faults(template);
      assert.ok(
        found.some((fault) => said.test(fault)),
        `said ${JSON.stringify(found)}`,
      );
    });
  }

  it('takes one address and no network as SshFrom', () => {
    const pattern = new RegExp(String(read().Parameters['SshFrom']['AllowedPattern']));
    for (const good of ['203.0.113.7/32', '1.1.1.1/32', '255.255.255.255/32']) assert.match(good, pattern);
    for (const bad of ['0.0.0.0/0', '0.0.0.0/32', '203.0.113.0/24', '203.0.113.7', '256.1.1.1/32', '::/0'])
      assert.doesNotMatch(bad, pattern);
  });

  it('makes a disk of 500 GiB for the datamaker, an m5.xlarge, and of 1,000 GiB for the trainer, of a type without V100', () => {
    const defaults = ['DatamakerGiB', 'TrainerGiB', 'DatamakerType', 'TrainerType'].map(
      (n) => read().Parameters[n]['Default'],
    );
    assert.deepEqual(defaults, [500, 1000, 'm5.xlarge', 'g5.12xlarge']);
  });

  it('has a price in README.md for every machine that it may make', () => {
    const page = readFileSync(join(folder, 'README.md'), 'utf8');
    const { DatamakerType, TrainerType } = read().Parameters;
    for (const type of [DatamakerType['Default'], ...(TrainerType['AllowedValues'] as string[])])
      assert.match(page, new RegExp(`^\\|.*${String(type)}.*\\| [0-9.]+`, 'm'));
  });

  for (const role of ['Datamaker', 'Trainer']) {
    it(`starts the ${role.toLowerCase()} with a script that bash reads and that runs first-boot.sh`, () => {
      const { 'Fn::Base64': body } = properties(read(), role)['UserData'] as { 'Fn::Base64': { 'Fn::Sub': string } };
      const script = body['Fn::Sub'].replace(/\$\{\w+\}/g, 'value');
      assert.match(script, new RegExp(`^imagesim/environment/first-boot\\.sh ${role.toLowerCase()}$`, 'm'));
      assert.ok(script.startsWith('#!/bin/bash\n') && script.length < 16_384); // what EC2 takes
      checkScript(script);
    });
  }

  for (const script of ['environment/first-boot.sh', 'setup.sh']) {
    it(`comes with a ${script} that bash reads`, () => checkScript(readFileSync(join(folder, '..', script), 'utf8')));
  }

  it('is refused by first-boot.sh for a role that it does not know, before anything is installed', () => {
    const { status, stderr } = spawnSync(join(folder, 'first-boot.sh'), ['tester'], { encoding: 'utf8' });
    assert.deepEqual(
      { status, stderr },
      { status: 1, stderr: "first-boot.sh: unknown role 'tester': it takes datamaker or trainer\n" },
    );
  });
});

/** `bash -n`, and shellcheck where it is there. */
function checkScript(script: string): void {
  const read = spawnSync('bash', ['-n'], { input: script, encoding: 'utf8' });
  assert.deepEqual({ status: read.status, stderr: read.stderr }, { status: 0, stderr: '' });
  const { error, stdout } = spawnSync('shellcheck', ['-s', 'bash', '-'], { input: script, encoding: 'utf8' });
  if (error === undefined) assert.equal(stdout, '');
}

// --- reading: the short forms become the long ones

function functions(): (ScalarTag | CollectionTag)[] {
  const long = (name: string): string => (name === 'Ref' || name === 'Condition' ? name : `Fn::${name}`);
  const scalars = ['Ref', 'Condition', 'Sub', 'GetAtt'].map((name) => ({
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
function misfits({ Resources }: Template): string[] {
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

function functionOf(value: unknown): string | undefined {
  const [key, ...rest] = typeof value === 'object' && value !== null ? Object.keys(value) : [];
  return rest.length === 0 && /^(Ref|Condition|Fn::\w+)$/.test(key ?? '') ? key : undefined;
}

function branches(value: unknown): unknown[] {
  return (value as { 'Fn::If': unknown[] })['Fn::If'].slice(1);
}

// --- the references

/** References to what is not there, and parameters and conditions that nothing refers to. */
function dangling(template: Template): string[] {
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

// --- what no schema forbids

type Statement = { Effect: string; Action: string | string[]; Resource: unknown };

function ebs(instance: Json): Json {
  return (instance['BlockDeviceMappings'] as { Ebs: Json }[])[0].Ebs;
}

function ingress({ Resources }: Template): Json {
  return (Resources['Ssh'].Properties as { SecurityGroupIngress: Json[] }).SecurityGroupIngress[0];
}

function rights({ Resources }: Template, role: string): Statement[] {
  const { Policies } = Resources[role].Properties as { Policies: { PolicyDocument: { Statement: Statement[] } }[] };
  return Policies.flatMap((policy) => policy.PolicyDocument.Statement);
}

/** What is fit for CloudFormation, and not for us. */
function dangers(template: Template): string[] {
  return Object.entries(template.Resources).flatMap(([name, { Type, Properties = {}, ...entry }]) => {
    if (Type === 'AWS::EC2::Instance') return dangersOfInstance(name, Properties, template);
    if (Type === 'AWS::EC2::SecurityGroup') return dangersOfGroup(name, Properties, template);
    if (Type === 'AWS::IAM::Role') return dangersOfRole(name, template);
    if (Type === 'AWS::S3::Bucket') return dangersOfBucket(name, Properties, entry);
    return [];
  });
}

function dangersOfInstance(name: string, properties: Json, { Parameters }: Template): string[] {
  const { HttpTokens, HttpPutResponseHopLimit } = (properties['MetadataOptions'] ?? {}) as Json;
  const image = properties['ImageId'];
  const images = functionOf(image) === 'Fn::If' ? branches(image) : [image];
  const fromSsm = (one: unknown): boolean =>
    functionOf(one) === 'Ref' &&
    String(Parameters[(one as { Ref: string }).Ref]['Type']).startsWith('AWS::SSM::Parameter::Value<');
  return [
    ...(HttpTokens === 'required' && HttpPutResponseHopLimit === 1 ? [] : [`${name}: IMDSv2 is not required`]),
    ...(images.every(fromSsm) ? [] : [`${name}: its image is not from SSM`]),
    ...((properties['BlockDeviceMappings'] as { Ebs: Json }[]).every((disk) => disk.Ebs['Encrypted'] === true)
      ? []
      : [`${name}: a disk is not encrypted`]),
  ];
}

function dangersOfGroup(name: string, properties: Json, { Parameters }: Template): string[] {
  const pattern = new RegExp(String(Parameters['SshFrom']['AllowedPattern']));
  return [
    ...(properties['SecurityGroupIngress'] as Json[])
      .filter(
        (rule) => JSON.stringify([rule['CidrIp'], rule['FromPort'], rule['ToPort']]) !== '[{"Ref":"SshFrom"},22,22]',
      )
      .map((rule) => `${name} lets in ${JSON.stringify(rule['CidrIp'])}: expected the parameter SshFrom, port 22`),
    ...['0.0.0.0/0', '10.0.0.0/8', '203.0.113.0/31'].filter((n) => pattern.test(n)).map((n) => `SshFrom accepts ${n}`),
  ];
}

function dangersOfRole(name: string, template: Template): string[] {
  const objects = ['s3:GetObject', 's3:PutObject', 's3:AbortMultipartUpload'];
  const allowed = new Set(['s3:ListBucket', 's3:GetBucketLocation', ...objects]);
  const ours = /^arn:\$\{AWS::Partition\}:s3:::\$\{Bucket\}(\/[A-Za-z].*)?$/;
  return rights(template, name).flatMap(({ Action, Resource }) => [
    ...[Action]
      .flat()
      .filter((action) => !allowed.has(action))
      .map((action) => `${name} may ${action}`),
    ...[Resource]
      .flat()
      .filter((place) => !ours.test(String((place as Json)['Fn::Sub'])))
      .map((place) => `${name} may reach ${JSON.stringify(place)}`),
  ]);
}

function dangersOfBucket(name: string, properties: Json, entry: Json): string[] {
  const closed = Object.values((properties['PublicAccessBlockConfiguration'] ?? {}) as Json);
  const kept = entry['DeletionPolicy'] === 'Retain' && entry['UpdateReplacePolicy'] === 'Retain';
  return [
    ...(closed.length === 4 && closed.every((value) => value === true) ? [] : [`${name}: not closed to the public`]),
    ...(properties['BucketEncryption'] ? [] : [`${name}: not encrypted`]),
    ...(kept ? [] : [`${name}: deleted with the stack`]),
  ];
}
