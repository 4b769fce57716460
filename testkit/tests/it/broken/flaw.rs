//! One mistake each, of those that were made in the field.

use service_only_testkit::Defect;

macro_rules! flaws {
    ($($flaw:ident: $($defect:ident),+;)*) => {
        #[derive(Debug, Copy, Clone, PartialEq, Eq)]
        pub(crate) enum Flaw { $($flaw,)* }

        impl Flaw {
            pub(crate) const ALL: [Self; [$(stringify!($flaw)),*].len()] = [$(Self::$flaw),*];

            /// Classes that must get in.
            pub(crate) fn caught_by(self) -> &'static [Defect] {
                match self { $(Self::$flaw => &[$(Defect::$defect),+],)* }
            }
        }
    };
}

flaws! {
    SignatureNotChecked: WrongKey, Tampered, NoSignature, ZeroSignature;
    NoSignatureIsFine: NoSignature;
    NoneAccepted: Unsigned;
    NoneAcceptedInOtherCase: UnsignedInOtherCase, UnsignedInCapitals;
    SecretFromPublicKey: PublicKeyAsSecret;
    EmbeddedKeyTrusted: EmbeddedKey;
    KeyIdIgnored: RightKeyOtherName, KeyIdWithSpace;
    DerAccepted: EcdsaInDer;
    OnlyFirstBytesCompared: LongSignature;
    CriticalIgnored: CriticalExtension, CriticalKnownName;
    TypIgnored: OtherKindOfToken, LogoutToken;
    AudienceIgnored: WrongAudience, WithoutAudience;
    AudienceOptional: WithoutAudience;
    AudienceBySearch: AudienceCutShort, AudienceEmpty;
    ExpiryIgnored: Expired, ExpiresNow;
    ExpiryOptional: WithoutExpiry, ExpiryAsText;
    ExpiryOneSecondLate: ExpiresNow;
    NotBeforeIgnored: NotYetValid, ValidInASecond;
    IssuerIgnored: WrongIssuer, WithoutIssuer;
    IssuerInAnyCase: IssuerInOtherCase;
    IssuerByPrefix: IssuerWithSuffix, IssuerWithSlash;
    IssuerInList: IssuerAsList;
    TypeIgnored: UserDressedAsService, RefreshToken;
    FlagIgnored: NotAService, FlagMissing;
    FlagTruthy: ServiceAsText, ServiceAsOne;
    SubjectIgnored: OtherSubject, WithoutSubject;
    BindingIgnored: BoundToCertificate, BoundToThumbprintOfKey, BoundToUnknownMethod, BoundToNothing;
    CertificateNotAskedFor: BoundToCertificate;
    ThumbprintNotAskedFor: BoundToThumbprintOfKey;
    PublicKeyNotAskedFor: BoundToPublicKey;
    EncryptedKeyNotAskedFor: BoundToEncryptedKey;
    NamedKeyNotAskedFor: BoundToKeyId;
    KeyUrlNotAskedFor: BoundToKeyUrl;
    UnknownBindingIgnored: BoundToUnknownMethod;
    SecondBindingIgnored: BoundToSeveralMethods;
    EmptyBindingIgnored: BoundToNothing;
    NullBindingIgnored: BindingAsNull;
    TextBindingIgnored: BindingAsText;
    ListBindingIgnored: BindingAsList;
    NumberBindingIgnored: BindingAsNumber;
    FalseBindingIgnored: BindingAsFalse;
    NameInAnyCase: ServiceInOtherCase;
    NameByPrefix: ServiceWithSuffix;
    NameTrimmed: NameWithSpace;
    NameNotCompared: OtherService;
    ScopeBySearch: ScopeWithSuffix;
    ScopeIgnored: WithoutScope;
    FirstOfTwoHeaders: TwoHeaders, SecondHeaderForged;
    LastOfTwoHeaders: TwoHeaders, FirstHeaderForged;
    SchemeIgnored: BoundScheme, LookalikeScheme;
    TokenInQuery: TokenInQuery;
    TokenInCookie: TokenInCookie;
    IdentityHeadersBelieved: IdentityHeaders;
    PaddingAccepted: Padded;
    LooseBitsAccepted: BitsBehindSignature;
    LastMemberWins: DuplicateClaim, DuplicateIsService;
    NoLimitOfSize: TooLarge;
    OnlyGetGuarded: UnknownMethod, MethodInHeader;
    PathComparedAsText: DoubleSlash, SlashAtEnd, PathInOtherCase;
    InsideNeedsNoToken: AddressOfInside;
    ErrorLetsIn: Garbage, ClaimsAsNull;
}
